// Dark, light, or as the system has it; kept in the browser.

import { effect, signal } from "@preact/signals";

export type Theme = "system" | "light" | "dark";

const kept = (): Theme => {
  try {
    const t = localStorage.getItem("bide.theme");
    return t === "light" || t === "dark" ? t : "system";
  } catch {
    return "system"; // storage is forbidden
  }
};

export const theme = signal<Theme>(kept());

effect(() => {
  document.documentElement.dataset.theme = theme.value;
  try {
    localStorage.setItem("bide.theme", theme.value);
  } catch {
    // it holds for this page
  }
});
