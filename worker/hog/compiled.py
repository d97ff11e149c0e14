"""How this package is compiled, and where its compiled code is kept.

Importing it raises OSError when the cache folder cannot be written: numba would quietly keep the
code elsewhere, or compile in every process.
"""

from importlib.metadata import version
from pathlib import Path

from facematch.compiled import Function, compile_exactly, compile_fast, folder_of
from facematch.compiled_cache import own_folder

FOLDER = folder_of("hog", Path(__file__).parent.glob("*.py"), [version("dlib-bin")])
own_folder(FOLDER)


def exact(function: Function) -> Function:
    """See facematch.compiled.compile_exactly."""
    return compile_exactly(FOLDER)(function)


def fast(function: Function) -> Function:
    """See facematch.compiled.compile_fast."""
    return compile_fast(FOLDER)(function)
