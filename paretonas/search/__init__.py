"""One run: configured, recorded, resumed, finished."""
