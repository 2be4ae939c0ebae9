"""What is shipped beside the weights: where they come from and at which numbers they work."""

from __future__ import annotations

import hashlib
from pathlib import Path

import msgspec

from models.scam.features import DIMENSION, VERSION

FOLDER = Path(__file__).parent
MODEL_FILE = "model.onnx"
MANIFEST_FILE = "manifest.json"
KINDS_FILE = "kinds.onnx"


class ModelError(Exception):
    """The model files are missing, damaged, or made for another version of the features."""


class Source(msgspec.Struct, frozen=True):
    """A corpus that shaped the weights."""

    name: str
    licence: str
    scam: int  # conversations
    benign: int
    clusters: int


class Fusion(msgspec.Struct, frozen=True):
    """How evidence becomes log odds of a scam: see `detectors.fusion`.

    All are log odds per unit of evidence. Where there are two, the first holds for a call's first
    words and fades into the second. None of what more evidence adds is negative.
    """

    bias: float
    calm_first: float  # margin of the classifier below 0
    calm_later: float
    odd_first: float  # from 0 up to `detectors.fusion.SURE`
    odd_later: float
    sure_first: float  # above that
    sure_later: float
    phrases_first: float  # points of phrases, up to `detectors.fusion.SOME_PHRASES`
    phrases_later: float
    more_phrases_first: float  # above that
    more_phrases_later: float
    keywords: float
    behaviour: float
    opening: float  # at a call's first words
    silence: float  # before a word is heard
    answered: float  # each doubling of what others have said
    length: float  # each doubling of the party's words past `detectors.fusion.LONG_WORDS`


class Bands(msgspec.Struct, frozen=True):
    """The risk from which each severity band begins; below `low` a call is minimal.

    A band is left downwards only once the log odds are `margin` below its beginning.
    """

    low: float
    medium: float
    high: float
    critical: float
    margin: float


class Kinds(msgspec.Struct, frozen=True):
    """The heads for kinds and tactics: their file, names, and how they join the phrases."""

    file: str
    sha256: str
    types: tuple[str, ...]  # in the order of the outputs, before the tactics
    tactics: tuple[str, ...]
    phrase_weight: float  # log odds of a kind for each point of its phrases
    tactic_odds: float  # log odds from which a tactic is named


class Manifest(msgspec.Struct, frozen=True):
    """The manifest of the shipped model."""

    name: str
    version: str
    file: str
    sha256: str
    features: str
    dimension: int
    seed: int
    fusion: Fusion
    bands: Bands
    sources: tuple[Source, ...]
    kinds: Kinds | None = None  # None where no corpus named the kinds

    @property
    def files(self) -> tuple[str, ...]:
        """The files of weights that belong to it."""
        return (self.file,) if self.kinds is None else (self.file, self.kinds.file)

    @property
    def model_version(self) -> str:
        """Name, version and the first digits of the checksum, as stored with detections."""
        return f"{self.name}-{self.version}+{self.sha256[:12]}"


def read_manifest(folder: Path = FOLDER) -> Manifest:
    """Read and check the manifest; raises `ModelError`."""
    path = folder / MANIFEST_FILE
    try:
        manifest = msgspec.json.decode(path.read_bytes(), type=Manifest)
    except OSError as error:
        raise ModelError(
            f"cannot read {path.name} of the scam model ({error.strerror}); "
            "reinstall the package or run: voice-server train scam --data DIR"
        ) from error
    except msgspec.DecodeError as error:
        raise ModelError(f"{path.name} of the scam model is not valid: {error}") from error
    if (manifest.features, manifest.dimension) != (VERSION, DIMENSION):
        raise ModelError(
            f"the scam model was made for features {manifest.features}, this program computes "
            f"{VERSION}; run: voice-server train scam --data DIR"
        )
    return manifest


def read_model(manifest: Manifest, folder: Path = FOLDER) -> bytes:
    """Read the weights and check them against the manifest; raises `ModelError`."""
    return _checked(manifest, folder)


def read_kinds(kinds: Kinds, folder: Path = FOLDER) -> bytes:
    """Read the heads and check them against the manifest; raises `ModelError`."""
    return _checked(kinds, folder)


def _checked(entry: Manifest | Kinds, folder: Path) -> bytes:
    try:
        content = (folder / entry.file).read_bytes()
    except OSError as error:
        raise ModelError(f"cannot read {entry.file} of the scam model") from error
    if hashlib.sha256(content).hexdigest() != entry.sha256:
        raise ModelError(
            f"the checksum of {entry.file} does not match its manifest; "
            "reinstall the package or run: voice-server train scam --data DIR"
        )
    return content


def write_model(
    folder: Path, content: bytes, manifest: Manifest, heads: bytes | None = None
) -> None:
    """Write weights, manifest and heads, where there are any; the checksums must be theirs."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / manifest.file).write_bytes(content)
    if manifest.kinds is not None and heads is not None:
        (folder / manifest.kinds.file).write_bytes(heads)
    text = msgspec.json.format(msgspec.json.encode(manifest), indent=2)
    (folder / MANIFEST_FILE).write_bytes(text + b"\n")
