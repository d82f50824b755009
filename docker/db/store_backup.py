#!/usr/bin/env python3
"""Bring dumps to where they are kept, and back. Run in the image of the application, which has boto3.

usage: store_backup.py put FOLDER    store what backup.sh has written there, and take it away from there
       store_backup.py get FOLDER    bring the newest one that is stored into a folder
       store_backup.py list          show what is stored

BACKUP_URL     s3://BUCKET/PREFIX, or the path of a folder, such as that of a volume
BACKUP_KEPT    how many are kept; without it all are: a bucket has rules of its own for that

boto3 finds the keys, or the role, as everywhere; AWS_REGION is the region, and AWS_ENDPOINT_URL is for a server that
is not Amazon's. What is known of a dump, NAME.json, is stored last: a dump without it is none.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import sys
from pathlib import Path

ENDING, KNOWN = ".dump", ".dump.json"
BLOCK = 1 << 20


class Problem(Exception):
    pass


class Folder:
    def __init__(self, path: str) -> None:
        self.path = Path(path)
        if not self.path.is_dir():
            raise Problem(f"BACKUP_URL is {path}, which is no folder: mount it")

    def names(self) -> list[str]:
        return [path.name for path in self.path.iterdir()]

    def put(self, source: Path) -> None:
        part = self.path / f".{source.name}.unfinished"
        try:
            shutil.copyfile(source, part)
            with part.open("rb") as file:
                os.fsync(file.fileno())
            part.replace(self.path / source.name)
        finally:
            part.unlink(missing_ok=True)

    def get(self, name: str, target: Path) -> None:
        shutil.copyfile(self.path / name, target)

    def delete(self, name: str) -> None:
        (self.path / name).unlink(missing_ok=True)


class Bucket:
    def __init__(self, url: str) -> None:
        import boto3

        self.bucket, _, prefix = url.removeprefix("s3://").partition("/")
        self.prefix = f"{prefix.strip('/')}/" if prefix.strip("/") else ""
        self.s3 = boto3.client("s3", region_name=os.environ.get("AWS_REGION") or None)

    def names(self) -> list[str]:
        pages = self.s3.get_paginator("list_objects_v2").paginate(Bucket=self.bucket, Prefix=self.prefix)
        return [one["Key"].removeprefix(self.prefix) for page in pages for one in page.get("Contents", [])]

    def put(self, source: Path) -> None:
        key = f"{self.prefix}{source.name}"
        # In parts, where it is large; the server checks each one.
        self.s3.upload_file(str(source), self.bucket, key, ExtraArgs={"ChecksumAlgorithm": "SHA256"})
        stored = self.s3.head_object(Bucket=self.bucket, Key=key)["ContentLength"]
        if stored != source.stat().st_size:
            raise Problem(f"{source.name} has {source.stat().st_size} bytes, and {stored} of them are stored")

    def get(self, name: str, target: Path) -> None:
        self.s3.download_file(self.bucket, f"{self.prefix}{name}", str(target))

    def delete(self, name: str) -> None:
        self.s3.delete_object(Bucket=self.bucket, Key=f"{self.prefix}{name}")


def store() -> Folder | Bucket:
    url = os.environ.get("BACKUP_URL", "")
    if not url:
        raise Problem("BACKUP_URL is not set: set it to s3://BUCKET/PREFIX, or to the path of a folder")
    return Bucket(url) if url.startswith("s3://") else Folder(url)


def whole(kept: Folder | Bucket) -> list[str]:
    """Return the names of the dumps that are stored, the newest last."""
    found = set(kept.names())
    return sorted(name for name in found if name.endswith(ENDING) and f"{name}.json" in found)


def check(path: Path) -> None:
    found = hashlib.sha256()
    with path.open("rb") as file:
        while block := file.read(BLOCK):
            found.update(block)
    if json.loads(path.with_name(f"{path.name}.json").read_text())["sha256"] != found.hexdigest():
        raise Problem(f"{path} is not as it was made: its checksum is another one")


def limit() -> int:
    said = os.environ.get("BACKUP_KEPT") or "0"
    if not said.isdecimal():
        raise Problem(f"BACKUP_KEPT is {said}: write a whole number, or leave it out")
    return int(said)


def put(folder: Path) -> None:
    kept, number = store(), limit()
    dumps = sorted(path for path in folder.glob(f"*{ENDING}") if path.with_name(f"{path.name}.json").is_file())
    if not dumps:
        raise Problem(f"{folder} holds no dump: did backup.sh fail?")
    for path in dumps:
        known = path.with_name(f"{path.name}.json")
        check(path)
        kept.put(path)
        kept.put(known)
        print(f"{path.name} is stored: {path.stat().st_size} bytes", flush=True)
        path.unlink()
        known.unlink()
    for name in whole(kept)[:-number] if number else []:
        kept.delete(f"{name}.json")
        kept.delete(name)
        print(f"{name} is deleted: BACKUP_KEPT={number}")


def get(folder: Path) -> None:
    kept = store()
    stored = whole(kept)
    if not stored:
        raise Problem("nothing is stored yet")
    path = folder / stored[-1]
    for name in (stored[-1], f"{stored[-1]}.json"):
        kept.get(name, folder / name)
        # Who loads it is another user of the same group.
        (folder / name).chmod(0o640)
    check(path)
    print(path)


def main() -> int:
    words = sys.argv[1:]
    try:
        if words == ["list"]:
            print("\n".join(whole(store())))
        elif len(words) == 2 and words[0] in ("put", "get"):
            {"put": put, "get": get}[words[0]](Path(words[1]))
        else:
            print(__doc__, file=sys.stderr)
            return 64
    except ModuleNotFoundError as error:
        print(f"store_backup.py: {error.name} is not in this image: add it to its packages", file=sys.stderr)
        return 69
    except Exception as error:  # boto3's have no common base
        print(f"store_backup.py: {error or type(error).__name__}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
