// Where each node's cell goes. Pure: numbers in, numbers out.

/** Cell sizes in pixels, largest first; the largest that fits is taken. */
const SIZES = [26, 22, 19, 16, 14, 12, 10, 8, 7, 6, 5, 4, 3, 2];
const COLUMNS = [1, 2, 3, 4];
const SITE_GAP = 6;
const COLUMN_GAP = 16;
const LABEL_HEIGHT = 15;
const LEAST_CELLS_WIDE = 90;

/**
 * The nodes of all fleets for which `keep(fleet, node)` holds, in one flat order: fleet, site,
 * cluster, node. `groups` are clusters as {site, cluster, from, to}, the end excluded; `sites` as
 * {fleet, site, from, to, groups from, groups to}; `index` finds a node: fleet → node → place.
 */
export function flatten(fleets, keep = () => true) {
  const names = [];
  const sites = [];
  const groups = [];
  for (const fleet of fleets) {
    for (const site of fleet.sites) {
      const begin = names.length;
      const first = groups.length;
      for (const { cluster, nodes } of site.clusters) {
        const from = names.length;
        for (const node of nodes) if (keep(fleet.fleet, node)) names.push(node);
        if (names.length > from) groups.push({ site: sites.length, cluster, from, to: names.length });
      }
      if (names.length > begin)
        sites.push({
          fleet: fleet.fleet,
          site: site.site,
          from: begin,
          to: names.length,
          first,
          last: groups.length,
        });
    }
  }
  return { names, sites, groups };
}

/**
 * The largest cells that fit into `width` × `height`, with sites below one another in as few
 * columns as that takes; the smallest cells there are where nothing fits.
 */
export function arrange(flat, width, height, labelWidth) {
  for (const size of SIZES) {
    for (const columns of COLUMNS) {
      const wide = (width - (columns - 1) * COLUMN_GAP) / columns;
      if (columns > 1 && wide < labelWidth + LEAST_CELLS_WIDE) break;
      const found = place(flat, size, { columns, wide, labelWidth, height });
      if (found.height <= height) return found;
    }
  }
  return place(flat, SIZES.at(-1), { columns: 1, wide: width, labelWidth, height: Infinity });
}

function place(flat, size, at) {
  const pitch = size + (size >= 8 ? 2 : 1);
  const xs = new Float32Array(flat.names.length);
  const ys = new Float32Array(flat.names.length);
  const labels = [];
  let column = 0;
  let y = 0;
  let lowest = 0;
  for (const site of flat.sites) {
    let end = placeSite(flat, site, { xs, ys, size, pitch }, column, y, at);
    if (end > at.height && y > 0 && column + 1 < at.columns) {
      column += 1;
      y = 0;
      end = placeSite(flat, site, { xs, ys, size, pitch }, column, y, at);
    }
    labels.push({ x: column * (at.wide + COLUMN_GAP), y });
    lowest = Math.max(lowest, end);
    y = end + SITE_GAP;
  }
  return { size, pitch, xs, ys, labels, height: lowest };
}

// Cells flow like words in a line: a cluster is a word and stays together where it fits.
function placeSite(flat, site, { xs, ys, size, pitch }, column, top, at) {
  const left = column * (at.wide + COLUMN_GAP) + at.labelWidth;
  const right = column * (at.wide + COLUMN_GAP) + at.wide;
  const between = Math.max(2, Math.round(pitch / 2));
  let x = left;
  let y = top;
  for (let number = site.first; number < site.last; number += 1) {
    const group = flat.groups[number];
    const long = (group.to - group.from) * pitch;
    if (x > left && x + long > right && long <= right - left) {
      x = left;
      y += pitch;
    }
    for (let cell = group.from; cell < group.to; cell += 1) {
      if (x + size > right) {
        x = left;
        y += pitch;
      }
      xs[cell] = x;
      ys[cell] = y;
      x += pitch;
    }
    x += between;
  }
  return Math.max(y + pitch, top + LABEL_HEIGHT);
}

/** The cell under a point, or -1. */
export function cellAt(flat, placed, x, y) {
  const { xs, ys, pitch } = placed;
  for (let cell = 0; cell < flat.names.length; cell += 1) {
    if (x >= xs[cell] && x < xs[cell] + pitch && y >= ys[cell] && y < ys[cell] + pitch) return cell;
  }
  return -1;
}

/** The group (cluster) of a cell. */
export function groupOf(flat, cell) {
  let low = 0;
  let high = flat.groups.length - 1;
  while (low < high) {
    const middle = (low + high) >> 1;
    if (flat.groups[middle].to > cell) high = middle;
    else low = middle + 1;
  }
  return flat.groups[low];
}

/** Per site: how many nodes in each state, and its clusters with victims, worst first. */
export function tally(flat, letters) {
  const out = flat.sites.map(({ fleet, site, from, to }) => ({
    fleet,
    site,
    nodes: to - from,
    v: 0,
    x: 0,
    s: 0,
    e: 0,
    u: 0,
    other: 0,
    hurt: [],
  }));
  for (const group of flat.groups) {
    const site = out[group.site];
    let victims = 0;
    for (let cell = group.from; cell < group.to; cell += 1) {
      const letter = letters[cell];
      if (letter === "v") victims += 1;
      if (letter in site) site[letter] += 1;
      else site.other += 1;
    }
    if (!victims) continue;
    // Nodes without a cluster are a failure domain each.
    if (group.cluster) site.hurt.push({ cluster: group.cluster, victims, nodes: group.to - group.from });
    else site.hurt.push({ cluster: "", victims, nodes: victims });
  }
  for (const site of out) site.hurt.sort((a, b) => b.victims - a.victims);
  return out;
}
