// Dark, light, or as the system says. The choice is kept in this browser.

const KEY = "kbwatch-theme";
const ORDER = ["auto", "dark", "light"];

/** Applies the kept choice and lets the button walk through the three. */
export function theme(button, onChange) {
  let chosen = kept();
  const apply = () => {
    if (chosen === "auto") delete document.documentElement.dataset.theme;
    else document.documentElement.dataset.theme = chosen;
    button.textContent = `Theme: ${chosen}`;
    onChange();
  };
  button.addEventListener("click", () => {
    chosen = ORDER[(ORDER.indexOf(chosen) + 1) % ORDER.length];
    keep(chosen);
    apply();
  });
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", onChange);
  apply();
}

// Storage may be forbidden on a kiosk: the page works without.
function kept() {
  try {
    const found = localStorage.getItem(KEY);
    return ORDER.includes(found) ? found : "auto";
  } catch {
    return "auto";
  }
}

function keep(choice) {
  try {
    localStorage.setItem(KEY, choice);
  } catch {
    // Then it holds until the page is closed.
  }
}
