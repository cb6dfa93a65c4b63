/**
 * One of eight colours for an id. Most Snowflake ids end in the same bits (the counter begins at 0 in every millisecond), so the
 * milliseconds have a say too.
 */
export function hue(id: bigint): string {
  return `hue-${((id >> 22n) + id) % 8n}`;
}

/** A circle with the first letter of a name, in one of eight colours by id; decoration, the name stands beside it. */
export function Avatar({ id, name, square = false }: { id: bigint; name: string; square?: boolean }) {
  const letter = [...name.trim()][0] ?? "?";
  return (
    <span className={`avatar ${hue(id)}${square ? " square" : ""}`} aria-hidden="true">
      {letter.toUpperCase()}
    </span>
  );
}
