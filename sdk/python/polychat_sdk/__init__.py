"""The Python client of Polychat: sign in, talk in rooms, lose no message and see none twice.

async with polychat_sdk.sign_in("http://localhost:8080", "anna", "correct horse") as chat:
    room = await chat.create_room("Team")
    await chat.send(room.room_id, "hello")
    async for event in chat.events():
        print(event.room_id, event.sequence, event.WhichOneof("payload"))
"""

from polychat_sdk.client import Chat, sign_in
from polychat_sdk.errors import Disconnected, PolychatError
from polychat_sdk.tokens import Tokens, register

__all__ = ["Chat", "Disconnected", "PolychatError", "Tokens", "register", "sign_in"]
