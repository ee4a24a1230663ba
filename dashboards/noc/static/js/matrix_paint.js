// Cells on a canvas. Each state has a colour and, where there is room, a shape.

const SHAPED = 7;

/** The colours of the current theme. */
export function palette() {
  const css = getComputedStyle(document.documentElement);
  const color = (name) => css.getPropertyValue(name).trim();
  return {
    v: color("--cell-victim"),
    x: color("--cell-silent"),
    s: color("--cell-staged"),
    e: color("--cell-exposed"),
    u: color("--cell-untouched"),
    other: color("--cell-other"),
    ground: color("--surface"),
    text: color("--text"),
    hurt: color("--halt"),
    mark: "#ffffff",
  };
}

/** Paint one cell. */
export function paint(context, colors, letter, x, y, size) {
  context.fillStyle = colors[letter] ?? colors.other;
  context.fillRect(x, y, size, size);
  if (size < SHAPED) return;
  const edge = Math.max(1.5, size / 7);
  if (letter === "v") {
    context.strokeStyle = colors.mark;
    context.lineWidth = edge;
    context.beginPath();
    context.moveTo(x + size * 0.25, y + size * 0.25);
    context.lineTo(x + size * 0.75, y + size * 0.75);
    context.moveTo(x + size * 0.75, y + size * 0.25);
    context.lineTo(x + size * 0.25, y + size * 0.75);
    context.stroke();
  } else if (letter === "s") {
    context.fillStyle = colors.ground;
    context.beginPath();
    context.moveTo(x + size - 1, y + 1);
    context.lineTo(x + size - 1, y + size - 1);
    context.lineTo(x + 1, y + size - 1);
    context.fill();
  } else if (letter === "x") {
    context.fillStyle = colors.ground;
    context.fillRect(x + edge, y + edge, size - 2 * edge, size - 2 * edge);
  } else if (letter === "u") {
    context.fillStyle = colors.ground;
    context.fillRect(x + 1, y + 1, size - 2, size - 2);
    context.fillStyle = colors.u;
    context.fillRect(x + size * 0.3, y + size * 0.3, size * 0.4, size * 0.4);
  }
}
