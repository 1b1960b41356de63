"""What runs where the device is: it keeps files, loads and runs them, and measures, as it is asked.

Together with the engines, the timing protocol and the errors it is one file that Python runs (`bundle.py`), so that a
board needs Python 3.10, numpy and an engine, and nothing of ours installed. It is asked by messages (`wire.py`), over
whatever carries bytes: a pipe of SSH, or the agent's HTTPS. It imports nothing else.
"""
