# Says of each file that is named in the arguments whether it can be a handler, without running it: a JSON list of
# null, or what is wrong with it.
import sys

# The current directory must not take the place of a standard module.
del sys.path[0]

import json
import symtable


def trouble(path):
    try:
        with open(path, "rb") as file:
            source = file.read()
        compile(source, path, "exec", dont_inherit=True)
        names = symtable.symtable(source, path, "exec").get_symbols()
    except SyntaxError as error:
        return f"{type(error).__name__} in line {error.lineno}: {error.msg}"
    except Exception as error:
        return f"{type(error).__name__}: {error}"
    if b"import *" in source:
        # Only a run could tell.
        return None
    has_handle = any(name.get_name() == "handle" and (name.is_assigned() or name.is_imported()) for name in names)
    return None if has_handle else ""


print(json.dumps([trouble(path) for path in sys.argv[1:]]))
