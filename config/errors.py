"""Every error that QuantaHR raises on purpose.

    QuantaHRError
    ├── ConfigError          a setting, or the environment, is wrong
    ├── DocumentError        one document cannot be read; the others can
    │   └── MetadataError    what it says about itself is wrong, so nobody knows who may read it
    ├── KnowledgeIndexError  the index cannot be opened, or is owned by another process
    │   └── IndexInUse       another process owns it
    ├── ModelError           a model file is missing, corrupt or will not load
    ├── TrainingError        a part could not be trained to its end
    ├── LedgerError          the ledger cannot be opened, read or written
    │   ├── LedgerBusy          it cannot be read or written now; what is tried later may succeed
    │   ├── UnknownInteraction  no such answer was ever recorded
    │   ├── UnknownCorrection   no such correction was ever written, or it is not theirs to decide about
    │   ├── UnknownCase         no such case was ever opened
    │   └── Unverifiable        what was written can be no verified answer
    └── EngineError          one generation did not finish
        ├── EngineBusy       the queue is full
        └── DeadlineExceeded the answer took longer than allowed

A message says what happened, the value seen and what to do next, in one sentence. It never holds secrets or an
employee's text, so process edges may print it as it stands.
"""


class QuantaHRError(Exception):
    """The root: catching it catches whatever QuantaHR raises on purpose."""


class ConfigError(QuantaHRError):
    """A setting, or the environment, is wrong."""


class DocumentError(QuantaHRError):
    """One document cannot be read; ingestion reports it and goes on."""


class MetadataError(DocumentError):
    """A document's metadata is wrong, so nobody knows who may read it."""


class KnowledgeIndexError(QuantaHRError):
    """The index cannot be opened, or another process owns it."""


class IndexInUse(KnowledgeIndexError):
    """Another process owns the index."""


class ModelError(QuantaHRError):
    """A model file is missing, corrupt or will not load."""


class TrainingError(QuantaHRError):
    """A part could not be trained to its end; what was there before is still there."""


class LedgerError(QuantaHRError):
    """The ledger of answers, votes and corrections cannot be opened, read or written."""


class LedgerBusy(LedgerError):
    """The ledger cannot be read or written now: it is locked, its disk is full, or its server is away."""


class UnknownInteraction(LedgerError):
    """A vote names an answer that the ledger does not hold."""


class UnknownCorrection(LedgerError):
    """A decision names a correction that the ledger does not hold, or that is not for this person to decide."""


class UnknownCase(LedgerError):
    """A step names a case that the ledger does not hold."""


class Unverifiable(LedgerError):
    """What was written can be no verified answer: it is empty, too long, or answers what was not kept."""


class EngineError(QuantaHRError):
    """One generation did not finish."""


class EngineBusy(EngineError):
    """The queue is full; the asker should try again shortly."""


class DeadlineExceeded(EngineError):
    """The generation took longer than its deadline."""
