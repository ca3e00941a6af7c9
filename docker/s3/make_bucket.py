"""Make the bucket that is named, unless it is there. Address and keys come by boto3's own environment variables."""

import sys

import boto3

client = boto3.client("s3")
name = sys.argv[1]
if name not in [bucket["Name"] for bucket in client.list_buckets()["Buckets"]]:
    client.create_bucket(Bucket=name)
print(f"bucket {name} is there")
