"""Amazon S3, and what speaks its protocol, by boto3 and Airflow's AWS connection."""
