"""Keep chunks and their vectors: in Chroma on disk, and as an exact, filterable snapshot in memory.

Enters: chunks with vectors, document by document. Leaves: a `Snapshot` that retrieval scores exactly.

Why a snapshot: a question is filtered by who asks before anything is ranked, and Chroma's metadata filters take
34–134 ms over 100,000 chunks where an exact product over the same vectors takes 3 ms. Chroma stays the durable store.
It is opened by one process at a time (a lock beside it says which); a Chroma server, given by URL, may be shared.

A document's chunks are written together with the number that belong to it, so that a document that was cut off by a
crash is recognised as incomplete and read again.
"""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
import threading
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import IO, Any

import chromadb
import numpy as np
from chromadb.api import ClientAPI
from chromadb.api.models.Collection import Collection
from chromadb.config import Settings as ChromaSettings
from numpy.typing import NDArray

from config.errors import IndexInUse, KnowledgeIndexError
from config.settings import Audience, IndexSettings
from knowledge.chunk import Chunk
from knowledge.embed import Embedder
from knowledge.lexical import LexicalIndex, build_lexical
from knowledge.load import PolicyMetadata

Vectors = NDArray[np.float32]
_BATCH = 2_000  # Chroma 1.5.9 refuses more than 5,461 records at a time
_AUDIENCES = list(Audience)


@dataclass(frozen=True)
class StoredDocument:
    """What the index holds of one version of a document. `root` is the folder it was ingested from."""

    root: str
    file: str
    content_hash: str
    chunks: int
    is_complete: bool


@dataclass(frozen=True)
class Snapshot:
    """All chunks at one moment; never changed, so questions under way are not disturbed by ingestion.

    `vectors` has shape (n, dimensions) and unit rows; `audiences` (n,) holds each chunk's audience as its position in
    `Audience`; `countries` holds the different sets of countries (empty for all), `country_group` (n,) says which is
    whose; `review_by` (n,) are days as `date.toordinal` counts them, far in the future where a policy names none.
    """

    chunks: tuple[Chunk, ...]
    vectors: Vectors
    lexical: LexicalIndex
    audiences: NDArray[np.int8]
    countries: tuple[frozenset[str], ...]
    country_group: NDArray[np.int32]
    review_by: NDArray[np.int32]

    def readable(self, audience: Audience, country: str | None) -> NDArray[np.bool_]:
        """Which chunks may be read, shape (n,): HR reads everything, managers not what is HR's, others what is for all.

        A `country` leaves out what is for other countries only; None (not known) leaves nothing out.
        """
        allowed = self.audiences <= _AUDIENCES.index(audience)
        if country is not None:
            fits = np.array([not group or country in group for group in self.countries], dtype=np.bool_)
            allowed &= fits[self.country_group]
        return np.asarray(allowed, dtype=np.bool_)

    @property
    def documents(self) -> int:
        """How many documents the chunks come from."""
        return len({chunk.file for chunk in self.chunks})


class Index:
    """The chunks of one Chroma collection. Make it with `open_index`; close it to let another process in."""

    def __init__(self, collection: Collection, lock: IO[str] | None) -> None:
        self._collection = collection
        self._lock = lock
        self._snapshot: Snapshot | None = None
        self._version = 0
        self._reading = threading.Lock()

    @property
    def snapshot(self) -> Snapshot:
        """The chunks as they are now, read once after each change.

        What changes while they are read is read again: a document that was taken out must not stay in.
        """
        with self._reading:
            while self._snapshot is None:
                version = self._version
                taken = _read_snapshot(self._collection)
                if version == self._version:
                    self._snapshot = taken
            return self._snapshot

    def _changed(self) -> None:
        self._version += 1
        self._snapshot = None

    def stored_documents(self) -> list[StoredDocument]:
        """What is stored of each document, also of one that a crash cut off."""
        found: Counter[tuple[str, str, str, int]] = Counter()
        for page in _pages(self._collection, ["metadatas"]):
            for record in page["metadatas"]:
                found[(record["root"], record["file"], record["content_hash"], record["of"])] += 1
        return [
            StoredDocument(root, file, content_hash, count, is_complete=count == expected)
            for (root, file, content_hash, expected), count in found.items()
        ]

    def replace(self, root: str, file: str, content_hash: str, chunks: Sequence[Chunk], vectors: Vectors) -> None:
        """Put a document's chunks in place of what was there under its name.

        The old chunks go first: should the process die in between, the document is missing rather than doubled, and the
        next ingestion reads it again.
        """
        self.remove(root, file)
        for start in range(0, len(chunks), _BATCH):
            batch = chunks[start : start + _BATCH]
            self._collection.add(
                ids=[f"{chunk.id}-{hashlib.sha256(root.encode()).hexdigest()[:8]}" for chunk in batch],
                embeddings=vectors[start : start + _BATCH],
                documents=[chunk.text for chunk in batch],
                metadatas=[_record(root, content_hash, chunk, len(chunks)) for chunk in batch],
            )
        self._changed()

    def remove(self, root: str, file: str) -> None:
        """Forget a document; no error when it is not there."""
        self._collection.delete(where={"$and": [{"root": root}, {"file": file}]})
        self._changed()

    def keep_only(self, root: str) -> list[str]:
        """Forget what was ingested from other folders; gives their names."""
        others = sorted({document.root for document in self.stored_documents()} - {root})
        for other in others:
            self._collection.delete(where={"root": other})
        self._changed()
        return others

    def close(self) -> None:
        """Let another process open the index."""
        if self._lock is not None:
            self._lock.close()
            self._lock = None


def open_index(settings: IndexSettings, data_dir: Path, embedder: Embedder) -> Index:
    """Open the collection, embedded below `data_dir` or on the server that `settings.url` names; make it if needed.

    Vectors of another embedder or chunk size cannot be compared, so each has a collection of its own, and the next
    ingestion fills it.

    Raises:
        KnowledgeIndexError: Another process owns the directory, the server does not answer, or the files are damaged.
    """
    name = f"{settings.collection}-{embedder.version[:12]}-{settings.chunk_size}-{settings.chunk_overlap}"
    lock = None if settings.url else _own(data_dir / "index")
    try:
        client = _connect(settings.url) if settings.url else _embedded(data_dir / "index")
        collection = client.get_or_create_collection(
            name, embedding_function=None, configuration={"hnsw": {"space": "cosine"}}
        )
    except Exception as error:  # Chroma raises whatever its Rust core or httpx raised
        if lock is not None:
            lock.close()
        where = settings.url or str(data_dir / "index")
        raise KnowledgeIndexError(
            f"The index at {where} cannot be opened ({type(error).__name__}: {error}); "
            f"{'check that the server runs' if settings.url else 'move that folder away and run quantahr ingest'}."
        ) from error
    return Index(collection, lock)


def _own(folder: Path) -> IO[str]:
    """Take the folder for this process; released when the file is closed, also by a crash."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        lock = (folder / "owner.lock").open("a+")
    except OSError as error:
        raise KnowledgeIndexError(
            f"{folder} cannot be written to ({error.strerror}); change its owner, or name another data_dir."
        ) from error
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as error:
        lock.seek(0)
        owner = lock.read().strip() or "another process"
        lock.close()
        raise IndexInUse(
            f"The index in {folder} is in use by {owner}; stop it first, or ask it instead (a running "
            "'quantahr serve' takes up changed documents by itself)."
        ) from error
    lock.seek(0)
    lock.truncate()
    lock.write(f"process {os.getpid()}")
    lock.flush()
    return lock


def _embedded(folder: Path) -> ClientAPI:
    return chromadb.PersistentClient(str(folder), settings=ChromaSettings(anonymized_telemetry=False))


def _connect(url: str) -> ClientAPI:
    scheme, _, address = url.rpartition("://")
    host, _, port = address.strip("/").partition(":")
    is_tls = scheme == "https"
    return chromadb.HttpClient(
        host, int(port or (443 if is_tls else 8000)), ssl=is_tls, settings=ChromaSettings(anonymized_telemetry=False)
    )


def _pages(collection: Collection, include: list[str]) -> Iterator[Any]:
    for offset in range(0, collection.count(), _BATCH):
        yield collection.get(include=include, limit=_BATCH, offset=offset)  # type: ignore[arg-type]


def _read_snapshot(collection: Collection) -> Snapshot:
    chunks: list[Chunk] = []
    vectors: list[Vectors] = []
    for page in _pages(collection, ["embeddings", "documents", "metadatas"]):
        vectors.append(np.asarray(page["embeddings"], dtype=np.float32))
        chunks.extend(map(_chunk, page["ids"], page["documents"], page["metadatas"]))
    return make_snapshot(chunks, np.concatenate(vectors) if vectors else np.zeros((0, 0), dtype=np.float32))


def make_snapshot(chunks: Sequence[Chunk], vectors: Vectors) -> Snapshot:
    """Bring chunks and their vectors, shape (n, dimensions), into the form that retrieval scores."""
    groups = list(dict.fromkeys(frozenset(chunk.metadata.countries) for chunk in chunks))
    number = {group: n for n, group in enumerate(groups)}
    return Snapshot(
        chunks=tuple(chunks),
        vectors=np.ascontiguousarray(vectors),
        lexical=build_lexical([chunk.embedded_text for chunk in chunks]),
        audiences=np.array([_AUDIENCES.index(chunk.metadata.audience) for chunk in chunks], dtype=np.int8),
        countries=tuple(groups),
        country_group=np.array([number[frozenset(chunk.metadata.countries)] for chunk in chunks], dtype=np.int32),
        review_by=np.array([(chunk.metadata.review_by or date.max).toordinal() for chunk in chunks], dtype=np.int32),
    )


def _record(root: str, content_hash: str, chunk: Chunk, of: int) -> dict[str, str | int]:
    """A chunk as Chroma's metadata: flat, and without None."""
    metadata = chunk.metadata
    return {
        "root": root,
        "file": chunk.file,
        "content_hash": content_hash,
        "of": of,
        "position": chunk.position,
        "heading_path": json.dumps(chunk.heading_path, ensure_ascii=False),
        "page": chunk.page or 0,
        "title": metadata.title,
        "url": metadata.url,
        "owner": metadata.owner,
        "audience": metadata.audience.value,
        "countries": ",".join(metadata.countries),
        "effective": metadata.effective.isoformat() if metadata.effective else "",
        "review_by": metadata.review_by.isoformat() if metadata.review_by else "",
    }


def _chunk(identity: str, text: str, record: dict[str, Any]) -> Chunk:
    return Chunk(
        id=identity,
        file=record["file"],
        position=record["position"],
        heading_path=tuple(json.loads(record["heading_path"])),
        text=text,
        page=record["page"] or None,
        metadata=PolicyMetadata(
            title=record["title"],
            url=record["url"],
            owner=record["owner"],
            audience=Audience(record["audience"]),
            countries=tuple(filter(None, record["countries"].split(","))),
            effective=date.fromisoformat(record["effective"]) if record["effective"] else None,
            review_by=date.fromisoformat(record["review_by"]) if record["review_by"] else None,
        ),
    )
