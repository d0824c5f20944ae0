"""Turn one file into chunks and vectors, in a process of its own.

Enters: a file's path. Leaves: its chunks with their vectors, ready for the index.

Why a process: converters meet whatever people have on their disks. One that crashes, hangs or fills the memory must not
take the assistant with it. The process runs at the lowest priority, so that answers stay as fast while documents are
read (measured: beside an embedder of normal priority, generation falls to a quarter of its speed).
"""

from __future__ import annotations

import logging
import multiprocessing
import os
from contextlib import suppress
from dataclasses import dataclass
from multiprocessing.connection import Connection
from pathlib import Path
from types import TracebackType
from typing import Self

from config.errors import DocumentError
from config.settings import DocumentSettings, IndexSettings
from knowledge.chunk import Chunk, ChunkSize, chunk
from knowledge.embed import Embedder, open_embedder
from knowledge.index import Vectors
from knowledge.load import load

_log = logging.getLogger(__name__)

_LOWEST_PRIORITY = 19
# A worker that does not stop by itself is stopped after this long.
_FAREWELL_S = 5.0
_SPECIAL_TOKENS = 2


@dataclass(frozen=True)
class Prepared:
    """A document that was read and cut: `vectors` has shape (len(chunks), dimensions)."""

    file: str
    content_hash: str
    chunks: tuple[Chunk, ...]
    vectors: Vectors


def prepare(
    path: Path, folder: Path, documents: DocumentSettings, index: IndexSettings, embedder: Embedder
) -> Prepared:
    """Read, cut and embed one file in this process.

    Raises:
        DocumentError: The file cannot be read, or holds no text.
    """
    document = load(path, folder, documents)
    size = ChunkSize(min(index.chunk_size, embedder.max_tokens) - _SPECIAL_TOKENS, index.chunk_overlap)
    chunks = chunk(document, size, lambda text: embedder.count_tokens(text) - _SPECIAL_TOKENS)
    if not chunks:
        raise DocumentError(f"{document.file} holds no text under its headings; add some, or remove the file.")
    vectors = embedder.embed([piece.embedded_text for piece in chunks])
    return Prepared(document.file, document.content_hash, tuple(chunks), vectors)


class Worker:
    """A process that prepares one file after another; use it as a context manager.

    It is started when the first file comes, and again after a file that crashed it or took too long.
    """

    def __init__(self, documents: DocumentSettings, index: IndexSettings) -> None:
        self._documents = documents
        self._index = index
        self._process: multiprocessing.process.BaseProcess | None = None
        self._connection: Connection | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stop()

    def prepare(self, path: Path, folder: Path) -> Prepared:
        """As the function `prepare`, in the worker.

        Raises:
            DocumentError: Also when the file crashed the worker or took longer than `documents.timeout_s`.
        """
        connection = self._connection or self._start()
        try:
            connection.send((path, folder))
            if not connection.poll(self._documents.timeout_s):
                self._stop()
                raise DocumentError(
                    f"{path.name} took longer than {self._documents.timeout_s:.0f} s to read; split it, or raise "
                    "documents.timeout_s."
                )
            result: Prepared | DocumentError = connection.recv()
        except (EOFError, BrokenPipeError, ConnectionResetError) as error:
            self._stop()
            raise DocumentError(f"{path.name} crashed the reader; save it anew in its own program.") from error
        if isinstance(result, DocumentError):
            raise result
        return result

    def _start(self) -> Connection:
        context = multiprocessing.get_context("spawn")
        self._connection, theirs = context.Pipe()
        self._process = context.Process(target=_serve, args=(theirs, self._documents, self._index), daemon=True)
        self._process.start()
        theirs.close()
        return self._connection

    def _stop(self) -> None:
        if self._connection is not None:
            self._connection.close()
            self._connection = None
        if self._process is not None:
            self._process.terminate()
            self._process.join(_FAREWELL_S)
            if self._process.is_alive():
                self._process.kill()
                self._process.join()
            self._process = None


def _serve(connection: Connection, documents: DocumentSettings, index: IndexSettings) -> None:
    """The worker's loop: a path in, a `Prepared` or an exception out, until the other end closes."""
    with suppress(OSError):
        os.nice(_LOWEST_PRIORITY)
    embedder = open_embedder(threads=1, adapter=index.adapter)
    with suppress(EOFError, OSError):
        while True:
            path, folder = connection.recv()
            connection.send(_outcome(path, folder, documents, index, embedder))


def _outcome(
    path: Path, folder: Path, documents: DocumentSettings, index: IndexSettings, embedder: Embedder
) -> Prepared | DocumentError:
    try:
        return prepare(path, folder, documents, index, embedder)
    except DocumentError as error:
        return error
    except Exception as error:  # the edge of the process: a file must never stop the others
        _log.exception("reading failed")
        return DocumentError(f"{path.name} cannot be read ({type(error).__name__}); save it anew in its own program.")
