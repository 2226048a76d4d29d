"""Machine-learning errors: the real messages of the corpus are what they are stated to be."""

from __future__ import annotations

import json
import sys
import warnings
from pathlib import Path
from typing import Any

import pytest

from snakepit_worker.description import _is_about_arrays
from snakepit_worker.ml_errors import Evidence, classify, decide
from snakepit_worker.operations import Operation
from snakepit_worker.tracebacks import shown

FOLDER = Path(__file__).parent / "corpus"
sys.path.insert(0, str(FOLDER))

import generate  # noqa: E402
from cases import CASES  # noqa: E402
from generate import run  # noqa: E402

CORPUS: list[dict[str, Any]] = json.loads((FOLDER / "messages.json").read_text("utf-8"))


def decided(entry: dict[str, Any], operations: bool = True) -> dict[str, Any] | None:
    if entry["operations"] is None:
        return None
    if not _is_about_arrays(entry["message"]):
        return None
    known = [Operation.from_json(each) for each in entry["operations"]] if operations else []
    return decide(Evidence(entry["type"], entry["message"], known, entry["attributes"] if operations else {}))


def name_of(entry: dict[str, Any]) -> str:
    return f"{entry['library']} {entry['version']}: {entry['code'].splitlines()[-1]}"


def matches(found: dict[str, Any], ml: dict[str, Any]) -> list[str]:
    """Which of the stated fields are not as stated."""
    wrong = []
    for field, value in ml.items():
        if field == "shapes":
            actual = [operand["shape"] for operand in found["operands"]]
            # an operand of the real code says more than the message, which may know one size
            if len(actual) != len(value) or not all(map(same_shape, actual, value)):
                wrong.append(f"shapes {actual}, expected {value}")
        elif field == "operation":
            if found[field] != value and ALIASES.get(found[field]) != value:
                wrong.append(f"operation {found[field]}, expected {value}")
        elif found.get(field) != value:
            wrong.append(f"{field} {found.get(field)!r}, expected {value!r}")
    return wrong


ALIASES = {"mm": "matmul", "view": "reshape", "mul": "multiply"}


def same_shape(actual: list[int | None], expected: list[int | None]) -> bool:
    if len(actual) == len(expected):
        return all(None in (one, other) or one == other for one, other in zip(actual, expected))
    # one size alone is known of a message; a version whose frames tell more has the whole shape
    return len(expected) == 1 and expected[0] in actual and None not in actual


def test_the_corpus_is_as_large_as_it_has_to_be() -> None:
    assert len({(entry["library"], entry["message"]) for entry in CORPUS if entry["ml"] is not None}) >= 120
    assert len({(entry["library"], entry["message"]) for entry in CORPUS if entry["ml"] is None}) >= 50
    for library in ("numpy", "pandas", "sklearn", "torch", "jax"):
        assert len({entry["version"] for entry in CORPUS if entry["library"] == library}) >= 2, library


def test_the_corpus_says_what_the_cases_state() -> None:
    stated = {(library, code): ml for library, code, ml in CASES}
    recorded = {(entry["library"], entry["code"]): entry["ml"] for entry in CORPUS}
    assert recorded == stated


@pytest.mark.parametrize("entry", [entry for entry in CORPUS if entry["ml"] is not None], ids=name_of)
def test_a_real_message_is_classified(entry: dict[str, Any]) -> None:
    found = decided(entry)
    assert found is not None, entry["message"]
    assert matches(found, entry["ml"]) == [], entry["message"]
    assert found["suggestion"]


@pytest.mark.parametrize("entry", [entry for entry in CORPUS if entry["ml"] is None], ids=name_of)
def test_what_looks_alike_is_left_alone(entry: dict[str, Any]) -> None:
    assert decided(entry) is None, entry["message"]


@pytest.mark.parametrize(
    ("number", "library", "code", "ml"),
    [(number, *case) for number, case in enumerate(CASES)],
    ids=[f"{library}: {code.splitlines()[-1]}" for library, code, _ in CASES],
)
def test_what_an_installed_library_says_today_is_classified(
    number: int, library: str, code: str, ml: dict[str, Any] | None
) -> None:
    pytest.importorskip(library)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        error = run(number, library, code)
    if error is None:
        pytest.skip("this version does not fail")
    own = generate.__file__
    entries = [each for each in shown(error.__traceback__) if each.tb_frame.f_code.co_filename != own]
    found = classify(error, str(error), entries, None)
    if ml is None:
        assert found is None, str(error)
    else:
        assert found is not None, str(error)
        assert matches(found, ml) == [], str(error)


# What accelerators make libraries say, after their sources: the corpus holds only what was really seen, on a CPU.
_NEW = (
    "CUDA out of memory. Tried to allocate 20.00 MiB. GPU 1 has a total capacity of 15.78 GiB of which 17.25 MiB is free. "
    "Process 1 has 15.76 GiB memory in use."
)
_OLD = (
    "CUDA out of memory. Tried to allocate 2.00 GiB (GPU 0; 8.00 GiB total capacity; 5.50 GiB already allocated; 512.00 MiB "
    "free; 5.60 GiB reserved in total by PyTorch)"
)


@pytest.mark.parametrize(
    ("kind", "message", "fields"),
    [
        (
            "torch.OutOfMemoryError",
            _NEW,
            {
                "_tag": "OutOfMemory",
                "device": "cuda:1",
                "requestedBytes": 20 * 2**20,
                "freeBytes": int(17.25 * 2**20),
                "totalBytes": int(15.78 * 2**30),
                "decidedBy": "class",
            },
        ),
        (
            "torch.cuda.OutOfMemoryError",
            _OLD,
            {
                "_tag": "OutOfMemory",
                "device": "cuda:0",
                "requestedBytes": 2**31,
                "freeBytes": 2**29,
                "totalBytes": 2**33,
            },
        ),
        (
            "RuntimeError",
            "CUDA error: out of memory\nCUDA kernel errors might be asynchronously reported at some other API call.",
            {"_tag": "OutOfMemory", "device": "cuda", "requestedBytes": None, "decidedBy": "message"},
        ),
        (
            "RuntimeError",
            "Expected all tensors to be on the same device, but found at least two devices, cuda:0 and cpu! (when checking "
            "argument for argument mat2 in method wrapper_CUDA_mm)",
            {
                "_tag": "DeviceMismatch",
                "operands": [{"name": "tensor", "device": "cuda:0"}, {"name": "tensor", "device": "cpu"}],
            },
        ),
        (
            "RuntimeError",
            "Input type (torch.cuda.FloatTensor) and weight type (torch.FloatTensor) should be the same",
            {
                "_tag": "DeviceMismatch",
                "operands": [{"name": "input", "device": "cuda"}, {"name": "weight", "device": "cpu"}],
            },
        ),
        ("RuntimeError", "CUDA error: invalid device ordinal", {"_tag": "DeviceNotAvailable", "device": "cuda"}),
        (
            "RuntimeError",
            "Attempting to deserialize object on a CUDA device but torch.cuda.is_available() is False. If you are running on "
            "a CPU-only machine, please use torch.load with map_location=torch.device('cpu') to map your storages to the CPU.",
            {"_tag": "DeviceNotAvailable", "device": "cuda", "suggestion": "use map_location='cpu'"},
        ),
    ],
)
def test_messages_of_accelerators_are_read(kind: str, message: str, fields: dict[str, Any]) -> None:
    found = decide(Evidence([kind, "RuntimeError", "Exception", "BaseException"], message, []))
    assert found is not None
    assert fields.items() <= found.items()
