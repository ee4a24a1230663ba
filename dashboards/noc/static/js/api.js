// Questions to the API. Paths are made of encoded parts only.

/** Everything about a case, name lists uncut. */
export function caseDetail(card) {
  return ask(`/api/v1/case/${part(card.fleet)}/${part(card.case)}`);
}

/** The matrix of one case. */
export function caseCells(card) {
  return ask(`/api/v1/case/${part(card.fleet)}/${part(card.case)}/nodes`);
}

function part(text) {
  return encodeURIComponent(text);
}

async function ask(path) {
  const answer = await fetch(path, { headers: { accept: "application/json" } });
  if (!answer.ok) throw new Error(`${path}: ${answer.status}`);
  return answer.json();
}
