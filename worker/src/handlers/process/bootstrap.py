# Runs one task: the payload is JSON on standard input, argv[1] is the file with `def handle(payload)`. Writes
# {"result": …} or {"error": "…"} to standard output.
import sys

# The current directory must not take the place of a standard module.
del sys.path[0]

import json
import os


def load(path):
    module = type(sys)("taskgrid_handler")
    module.__file__ = path
    sys.modules[module.__name__] = module
    # Behind all else, so that a handler `json.py` is not what its neighbours import as `json`.
    sys.path.append(os.path.dirname(path))
    with open(path, "rb") as file:
        exec(compile(file.read(), path, "exec"), module.__dict__)
    if not callable(getattr(module, "handle", None)):
        raise LookupError(f"{os.path.basename(path)} has no function handle(payload)")
    return module.handle


def describe(error):
    import traceback

    frames = [frame for frame in traceback.extract_tb(error.__traceback__) if frame.filename != "<string>"]
    where = "".join(traceback.format_list(frames[-3:]))
    return f"{type(error).__name__}: {error}\n{where}".strip()[:4000]


def main():
    # What the handler prints goes to standard error: it is not the result.
    output = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)
    try:
        payload = json.load(sys.stdin.buffer)
        result = load(sys.argv[1])(payload)
        answer = json.dumps({"result": result}, ensure_ascii=False, allow_nan=False, separators=(",", ":")).encode()
    except Exception as error:
        answer = json.dumps({"error": describe(error)}).encode()
    output.write(answer)
    output.close()


main()
