import { useId, useState } from "react";
import { useAction } from "../components/use_action";
import type { Account } from "../store/account";
import { failureText } from "../store/reasons";

/** Log in, or make an account. */
export function SignInPage({ account, notice }: { account: Account; notice: string }) {
  const [isNew, setNew] = useState(false);
  const [username, setUsername] = useState("");
  const [password, setPassword] = useState("");
  const [displayName, setDisplayName] = useState("");
  const { busy, failure, run } = useAction();
  const submit = (): void =>
    run(() => (isNew ? account.register(username.trim(), password, displayName.trim()) : account.login(username.trim(), password)));

  return (
    <main className="sign-in">
      <form className="card form" onSubmit={(event) => { event.preventDefault(); submit(); }}>
        <img src="/favicon.svg" alt="" width="48" height="48" />
        <h1>{isNew ? "Create an account" : "Welcome to Polychat"}</h1>
        {notice !== "" && failure === null && <p className="form-notice" role="status">{notice}</p>}
        <Field label="Username" value={username} onChange={setUsername} autoComplete="username"
          {...(isNew ? { pattern: "[A-Za-z0-9][A-Za-z0-9._\\-]{2,49}", hint: "3 to 50 letters, digits, dots, dashes, underscores" } : {})} />
        {isNew && <Field label="Name" value={displayName} onChange={setDisplayName} autoComplete="name" optional hint="What others see" />}
        <Field label="Password" value={password} onChange={setPassword} type="password"
          autoComplete={isNew ? "new-password" : "current-password"}
          {...(isNew ? { minLength: 8, hint: "At least 8 characters" } : {})} />
        {failure !== null && <p className="field-error" role="alert">{failureText(failure)}</p>}
        <button type="submit" className="primary" disabled={busy}>{isNew ? "Register" : "Log in"}</button>
        <p className="switch">
          {isNew ? "Already have an account?" : "New here?"}{" "}
          <button type="button" className="link" onClick={() => setNew(!isNew)}>{isNew ? "Log in instead" : "Create an account"}</button>
        </p>
      </form>
    </main>
  );
}

interface FieldProps {
  label: string;
  value: string;
  onChange: (value: string) => void;
  autoComplete: string;
  type?: string;
  pattern?: string;
  minLength?: number;
  hint?: string;
  optional?: boolean;
}

function Field({ label, onChange, hint, optional = false, ...input }: FieldProps) {
  const id = useId();
  return (
    <div className="field">
      <label htmlFor={id}>{label}{optional && <small> (optional)</small>}</label>
      <input
        id={id} required={!optional} autoCapitalize="none" spellCheck={false} aria-describedby={hint ? `${id}-hint` : undefined}
        onChange={(event) => onChange(event.target.value)} {...input}
      />
      {hint !== undefined && <small id={`${id}-hint`}>{hint}</small>}
    </div>
  );
}
