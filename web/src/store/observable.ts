/** Something a view can watch: `useWatch` in hooks.ts reads a part of it again after every change. */
export class Observable {
  private readonly listeners = new Set<() => void>();

  subscribe = (listener: () => void): (() => void) => {
    this.listeners.add(listener);
    return () => this.listeners.delete(listener);
  };

  changed(): void {
    for (const listener of [...this.listeners]) listener();
  }
}
