"""One bucket: each method is a request or few, with what the operator asks of every one of them."""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator
from contextlib import AbstractContextManager, closing
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

from airflow_mlops.stores.s3.address import PLAIN, S3Address, S3Options
from airflow_mlops.stores.s3.client import s3_client
from airflow_mlops.stores.s3.errors import code_of, etag_of, require_listing, status_of, telling

PART = 8 << 20
"""Bytes: what is larger is uploaded and copied in parts, and read to a file instead of to memory."""
_COPIED_PART = 512 << 20
_TRIES = 5
_TAKEN = ("PreconditionFailed", "412")
_NAMING = ("PutObject", "CompleteMultipartUpload")
"""What gives a name. The same answer to any other request is about what is copied."""
_RACED = ("ConditionalRequestConflict", "OperationAborted", "409")
"""Another conditional write of the same name is under way: S3 asks that it be tried again."""
_NOT_FOUND = 404


@dataclass(frozen=True, kw_only=True)
class S3Object:
    """What a listing or an answer says of an object."""

    key: str
    size: int
    etag: str
    modified: Any = None


@dataclass
class S3Bucket:
    """A bucket by its connection. The client is made at the first request."""

    address: S3Address
    field: str
    """What a problem is reported against."""
    options: S3Options = PLAIN
    _seen: bool = False
    _opened: tuple[int, Any] = (0, None)

    def head(self, key: str) -> S3Object | None:
        """Ask for an object's size and mark; None if there is no such object.

        Raises
        ------
        StoreUnavailableError
            Of these answers only the status says why, so that a listing is asked, whose refusal has a reason.
        """
        with self._telling(key, "read"):
            try:
                answer = self.client.head_object(**self._named(key))
            except Exception as error:
                status = status_of(error)
                if status != _NOT_FOUND and not code_of(error).isdigit():
                    raise
                # 404 is also said of an object in a bucket that does not exist; once seen, it is there.
                if status != _NOT_FOUND or not self._seen:
                    require_listing(self.client.list_objects_v2(**self._owned(), Prefix=key, MaxKeys=1))
                if status != _NOT_FOUND:
                    raise
                self._seen = True
                return None
            return S3Object(
                key=key, size=answer["ContentLength"], etag=etag_of(answer), modified=answer["LastModified"]
            )

    def read(self, key: str, into: IO[bytes]) -> None:
        """Write an object's bytes to a file, going on where an answer broke off, unless it was replaced meanwhile.

        Raises
        ------
        FileNotFoundError
            If there is no such object.
        """
        etag, done = "", 0
        how: dict[str, str] = {}
        with self._telling(key, "read"):
            for left in reversed(range(_TRIES)):
                answer = self.client.get_object(**self._named(key), **how)
                with closing(answer["Body"]):
                    etag = etag or etag_of(answer)
                    try:
                        for piece in answer["Body"].iter_chunks(1 << 20):
                            into.write(piece)
                            done += len(piece)
                        return
                    except Exception as error:
                        if not left or not _broke_off(error):
                            raise
                how = {"Range": f"bytes={done}-", "IfMatch": etag}

    def read_range(self, found: S3Object, first: int, behind: int) -> bytes:
        """Return bytes of an object, unless it was replaced since it was found."""
        with self._telling(found.key, "read"):
            for left in reversed(range(_TRIES)):
                answer = self.client.get_object(
                    **self._named(found.key), Range=f"bytes={first}-{behind - 1}", IfMatch=found.etag
                )
                with closing(answer["Body"]):
                    try:
                        return bytes(answer["Body"].read())
                    except Exception as error:
                        if not left or not _broke_off(error):
                            raise
        raise AssertionError("the last try returns or raises")

    def upload(self, key: str, path: Path) -> None:
        """Make a file an object, in place of what has its name: whole, when the last byte is there.

        Of one that is larger than a part, the parts are sent side by side; where one fails the upload is given up, and
        S3 told to forget its parts. Where the process is killed they stay, unseen, until a lifecycle rule removes them.
        """
        from boto3.s3.transfer import TransferConfig

        with self._telling(key, "write"), path.open("rb") as file:
            if path.stat().st_size <= PART:
                etag_of(self.client.put_object(**self._named(key), **self._encrypted(), Body=file))
                return
            how = TransferConfig(multipart_threshold=PART, multipart_chunksize=PART, max_concurrency=4)
            also = self._encrypted() | self._owner()
            self.client.upload_fileobj(file, self.address.bucket, key, ExtraArgs=also, Config=how)

    def copy_unless_taken(self, key: str, target: str) -> bool:
        """Give an object a second name; False, and nothing done, where that name is taken, also by who is just writing.

        A plain copy cannot ask for that everywhere: what is small is written anew, what is large copied in parts by S3
        itself, and the last request of both is refused where the name is taken.

        Raises
        ------
        FileNotFoundError
            If there is no such object.
        """
        found = self.head(key)
        if found is None:
            raise FileNotFoundError(errno.ENOENT, "no such object", self.address.uri(key))
        with self._telling(target, "write"):
            for left in reversed(range(_TRIES)):
                try:
                    return self._copy_small(found, target) if found.size <= PART else self._copy_parts(found, target)
                except Exception as error:
                    if _says_taken(error):
                        return False
                    if not left or code_of(error) not in _RACED:
                        raise
        raise AssertionError("the last try returns or raises")

    def _copy_small(self, found: S3Object, target: str) -> bool:
        body = self.read_range(found, 0, found.size) if found.size else b""
        etag_of(self.client.put_object(**self._named(target), **self._encrypted(), Body=body, IfNoneMatch="*"))
        return True

    def _copy_parts(self, found: S3Object, target: str) -> bool:
        name = self._named(target)
        upload = {**name, "UploadId": self.client.create_multipart_upload(**name, **self._encrypted())["UploadId"]}
        source = {"CopySource": {"Bucket": self.address.bucket, "Key": found.key}, "CopySourceIfMatch": found.etag}
        if self.options.bucket_owner:
            source["ExpectedSourceBucketOwner"] = self.options.bucket_owner
        try:
            parts = []
            for number, first in enumerate(range(0, found.size, _COPIED_PART), start=1):
                last = min(first + _COPIED_PART, found.size) - 1
                part = self.client.upload_part_copy(
                    **upload, **source, PartNumber=number, CopySourceRange=f"bytes={first}-{last}"
                )
                parts.append({"PartNumber": number, "ETag": part["CopyPartResult"]["ETag"]})
            self.client.complete_multipart_upload(**upload, MultipartUpload={"Parts": parts}, IfNoneMatch="*")
        except BaseException as error:
            self._forget(upload, error)
            raise
        return True

    def _forget(self, upload: dict[str, str], error: BaseException) -> None:
        """Remove the parts of an upload that failed; what failed first is what is raised."""
        try:
            self.client.abort_multipart_upload(**upload)
        except Exception as second:  # noqa: BLE001 - it is said beside the first
            error.add_note(f"parts of it stay, unseen, until a lifecycle rule removes them ({type(second).__name__})")

    def delete(self, key: str) -> None:
        """Remove an object, if there is one."""
        with self._telling(key, "write"):
            self.client.delete_object(**self._named(key))

    def objects(self, prefix: str, *, delimiter: str = "") -> Iterator[S3Object | str]:
        """List objects whose names begin so; with a delimiter, the folders below it come as texts."""
        pages = self.client.get_paginator("list_objects_v2")
        how = {"Delimiter": delimiter} if delimiter else {}
        with self._telling(prefix, "read"):
            for page in pages.paginate(**self._owned(), Prefix=prefix, **how):
                for item in require_listing(page).get("Contents", ()):
                    yield S3Object(
                        key=item["Key"], size=item["Size"], etag=item["ETag"], modified=item.get("LastModified")
                    )
                yield from (item["Prefix"] for item in page.get("CommonPrefixes", ()))
        self._seen = True

    def has_any(self, prefix: str) -> bool:
        """Whether there is any object whose name begins so."""
        with self._telling(prefix, "read"):
            answer = require_listing(self.client.list_objects_v2(**self._owned(), Prefix=prefix, MaxKeys=1))
        self._seen = True
        return bool(answer.get("KeyCount"))

    @property
    def client(self) -> Any:
        """boto3's client."""
        if self._opened[0] != os.getpid():
            self._opened = (os.getpid(), s3_client(self.address, self.field))
        return self._opened[1]

    def _telling(self, key: str, doing: str) -> AbstractContextManager[None]:
        return telling(self.address.uri(key), doing, self.field)

    def _owner(self) -> dict[str, str]:
        return {"ExpectedBucketOwner": self.options.bucket_owner} if self.options.bucket_owner else {}

    def _owned(self) -> dict[str, str]:
        return {"Bucket": self.address.bucket} | self._owner()

    def _named(self, key: str) -> dict[str, str]:
        return self._owned() | {"Key": key}

    def _encrypted(self) -> dict[str, str]:
        asked = {"ServerSideEncryption": self.options.encryption, "SSEKMSKeyId": self.options.kms_key_id}
        return {name: value for name, value in asked.items() if value}


def _says_taken(error: Exception) -> bool:
    return code_of(error) in _TAKEN and getattr(error, "operation_name", "") in _NAMING


def _broke_off(error: Exception) -> bool:
    """Whether an answer ended too early: its status had been sent, so that boto3 does not try again."""
    from botocore.exceptions import IncompleteReadError, ReadTimeoutError, ResponseStreamingError

    return isinstance(error, IncompleteReadError | ReadTimeoutError | ResponseStreamingError)
