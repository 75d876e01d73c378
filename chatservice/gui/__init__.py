"""``python -m chatservice.gui``: the client in a window, a face of `ChatClient` and `Talk`.

No rule of the chat is kept here. `__main__`, `memory` and `lines` can be imported without tkinter.
"""
