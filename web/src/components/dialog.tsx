import { useLayoutEffect, useRef } from "react";
import type { ReactNode } from "react";
import { Icon } from "./icons";

/**
 * The browser's own modal dialog: it keeps the focus inside, closes on Escape and gives the focus back. It begins in its first field;
 * the button that closes it comes before, and is what nobody opened it for.
 */
export function Dialog({ title, onClose, children }: { title: string; onClose: () => void; children: ReactNode }) {
  const dialog = useRef<HTMLDialogElement>(null);
  useLayoutEffect(() => {
    const element = dialog.current;
    element?.showModal();
    element?.querySelector<HTMLElement>("input")?.focus();
    return () => element?.close(); // before it leaves the page: only then the focus goes back
  }, []);
  return (
    <dialog
      ref={dialog} className="dialog" aria-label={title}
      // Escape: closed here and now. The browser's `close` comes a task later, when the key that opens it again may be past.
      onCancel={(event) => { event.preventDefault(); onClose(); }}
      onClose={() => { if (dialog.current?.open === false) onClose(); }}
      // Not the click: one that began in a field, to select its text, may end out here.
      onPointerDown={(event) => { if (event.target === dialog.current) onClose(); }}
    >
      <div className="dialog-body">
        <header className="dialog-header">
          <h2>{title}</h2>
          <button type="button" className="icon-button" aria-label="Close" onClick={onClose}><Icon name="close" /></button>
        </header>
        {children}
      </div>
    </dialog>
  );
}
