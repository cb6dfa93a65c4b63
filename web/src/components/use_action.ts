import { useCallback, useState } from "react";
import type { Failure } from "../protocol/failure";
import { asFailure } from "../protocol/failure";

export interface Action {
  busy: boolean;
  failure: Failure | null;
  /** Does nothing while the last one is under way. */
  run(action: () => Promise<void>): void;
}

/** Something a person asked for: whether it is under way, and why it failed. */
export function useAction(): Action {
  const [busy, setBusy] = useState(false);
  const [failure, setFailure] = useState<Failure | null>(null);
  const run = useCallback(
    (action: () => Promise<void>): void => {
      if (busy) return;
      setBusy(true);
      setFailure(null);
      action()
        .catch((error: unknown) => setFailure(asFailure(error)))
        .finally(() => setBusy(false));
    },
    [busy],
  );
  return { busy, failure, run };
}
