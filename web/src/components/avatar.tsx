/** A circle with the first letter of a name, in one of eight colours by id; decoration, the name stands beside it. */
export function Avatar({ id, name, square = false }: { id: bigint; name: string; square?: boolean }) {
  const letter = [...name.trim()][0] ?? "?";
  return (
    <span className={`avatar hue-${id % 8n}${square ? " square" : ""}`} aria-hidden="true">
      {letter.toUpperCase()}
    </span>
  );
}
