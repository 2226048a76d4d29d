"""Starts a thread when it is imported, which a fork would lose."""

import threading

threading.Thread(target=threading.Event().wait, daemon=True).start()
