/** Which built-in Python exception descends from which: what `__mro__` says, without Python. */

const parents: Readonly<Record<string, string>> = {
  Exception: "BaseException",
  SystemExit: "BaseException",
  KeyboardInterrupt: "BaseException",
  GeneratorExit: "BaseException",
  BaseExceptionGroup: "BaseException",
  StopIteration: "Exception",
  StopAsyncIteration: "Exception",
  ArithmeticError: "Exception",
  AssertionError: "Exception",
  AttributeError: "Exception",
  BufferError: "Exception",
  EOFError: "Exception",
  ImportError: "Exception",
  LookupError: "Exception",
  MemoryError: "Exception",
  NameError: "Exception",
  OSError: "Exception",
  ReferenceError: "Exception",
  RuntimeError: "Exception",
  SyntaxError: "Exception",
  SystemError: "Exception",
  TypeError: "Exception",
  ValueError: "Exception",
  Warning: "Exception",
  FloatingPointError: "ArithmeticError",
  OverflowError: "ArithmeticError",
  ZeroDivisionError: "ArithmeticError",
  ModuleNotFoundError: "ImportError",
  IndexError: "LookupError",
  KeyError: "LookupError",
  UnboundLocalError: "NameError",
  BlockingIOError: "OSError",
  ChildProcessError: "OSError",
  ConnectionError: "OSError",
  FileExistsError: "OSError",
  FileNotFoundError: "OSError",
  InterruptedError: "OSError",
  IsADirectoryError: "OSError",
  NotADirectoryError: "OSError",
  PermissionError: "OSError",
  ProcessLookupError: "OSError",
  TimeoutError: "OSError",
  BrokenPipeError: "ConnectionError",
  ConnectionAbortedError: "ConnectionError",
  ConnectionRefusedError: "ConnectionError",
  ConnectionResetError: "ConnectionError",
  NotImplementedError: "RuntimeError",
  RecursionError: "RuntimeError",
  PythonFinalizationError: "RuntimeError",
  IndentationError: "SyntaxError",
  TabError: "IndentationError",
  UnicodeError: "ValueError",
  UnicodeDecodeError: "UnicodeError",
  UnicodeEncodeError: "UnicodeError",
  UnicodeTranslateError: "UnicodeError",
  BytesWarning: "Warning",
  DeprecationWarning: "Warning",
  EncodingWarning: "Warning",
  FutureWarning: "Warning",
  ImportWarning: "Warning",
  PendingDeprecationWarning: "Warning",
  ResourceWarning: "Warning",
  RuntimeWarning: "Warning",
  SyntaxWarning: "Warning",
  UnicodeWarning: "Warning",
  UserWarning: "Warning"
}

/** The class and its ancestors, nearest first. A class that is not built in descends from `Exception`. */
export const ancestry = (name: string): ReadonlyArray<string> => {
  // the only built-in exception with two parents
  if (name === "ExceptionGroup") return ["ExceptionGroup", "BaseExceptionGroup", "Exception", "BaseException"]
  const chain = [name]
  let current = name
  while (current !== "BaseException") {
    current = parents[current] ?? "Exception"
    chain.push(current)
  }
  return chain
}
