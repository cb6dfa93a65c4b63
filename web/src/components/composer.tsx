import { useEffect, useRef, useState } from "react";
import type { FormEvent, KeyboardEvent } from "react";
import { newRequestId } from "../store/request_id";
import { useChat } from "../store/hooks";
import { Icon } from "./icons";

/** A touch screen would cover half of the room with its keyboard. */
const HAS_KEYBOARD = matchMedia("(pointer: fine)");

/** Enter sends, Shift+Enter makes a new line; what is not sent stays with the room. Who opens a room begins here. */
export function Composer({ roomId, label, onSent }: { roomId: bigint; label: string; onSent: () => void }) {
  const chat = useChat();
  const field = useRef<HTMLTextAreaElement>(null);
  const [text, setText] = useState(chat.drafts.get(roomId) ?? "");
  const tooLong = new TextEncoder().encode(text).length > chat.session.textBytes;

  useEffect(() => {
    if (HAS_KEYBOARD.matches) field.current?.focus();
  }, []);

  const change = (value: string): void => {
    setText(value);
    chat.drafts.set(roomId, value);
    if (value !== "") chat.typing.typed(roomId);
  };

  const send = (): void => {
    const trimmed = text.trim();
    if (trimmed === "" || tooLong) return;
    chat.send(roomId, newRequestId(), trimmed);
    setText("");
    chat.drafts.delete(roomId);
    onSent();
    field.current?.focus();
  };

  const keyed = (event: KeyboardEvent): void => {
    // While an input method composes, Enter chooses a word.
    if (event.key !== "Enter" || event.shiftKey || event.nativeEvent.isComposing) return;
    event.preventDefault();
    send();
  };

  const submitted = (event: FormEvent): void => {
    event.preventDefault();
    send();
  };

  return (
    <form className="composer" onSubmit={submitted}>
      {tooLong && <p className="field-error" role="alert">This message is too long to send at once.</p>}
      <div className="composer-box">
        <textarea
          ref={field} rows={1} value={text} aria-label={label} placeholder="Message" aria-invalid={tooLong} dir="auto"
          onChange={(event) => change(event.target.value)} onKeyDown={keyed}
        />
        <button type="submit" className="send" aria-label="Send" disabled={text.trim() === "" || tooLong}>
          <Icon name="send" />
        </button>
      </div>
    </form>
  );
}
