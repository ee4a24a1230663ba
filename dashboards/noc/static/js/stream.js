// The event stream, and knowing when it is dead. The browser's own reconnect gives up on an error
// status (a server that still reads its topics answers 503), so that case is handled here.

const EVENTS = ["state", "case", "gone", "nodes", "layout", "halt", "halt_gone", "health", "tick"];
const DEAD_MS = 16_000;
const FIRST_RETRY_MS = 500;
const LAST_RETRY_MS = 5_000;

/**
 * Follow the stream for as long as the page lives. `onEvent(name, data)` for each event,
 * `onLink(state)` with connecting, live or lost.
 */
export function follow(url, onEvent, onLink) {
  let source = null;
  let retryMs = FIRST_RETRY_MS;
  let heard = performance.now();
  let timer = 0;

  function open() {
    clearTimeout(timer);
    source?.close();
    heard = performance.now();
    source = new EventSource(url);
    for (const name of EVENTS) source.addEventListener(name, take);
    source.addEventListener("error", () => {
      onLink("lost");
      if (source.readyState === EventSource.CLOSED) again();
    });
  }

  function take(event) {
    heard = performance.now();
    retryMs = FIRST_RETRY_MS;
    onEvent(event.type, JSON.parse(event.data));
    onLink("live");
  }

  function again() {
    clearTimeout(timer);
    timer = setTimeout(open, retryMs);
    retryMs = Math.min(retryMs * 2, LAST_RETRY_MS);
  }

  // Ticks come every five seconds: silence means that nobody is there any more, whatever the
  // browser believes of its connection.
  setInterval(() => {
    if (performance.now() - heard > DEAD_MS) {
      onLink("lost");
      open();
    }
  }, 1_000);
  addEventListener("online", open);
  onLink("connecting");
  open();
}
