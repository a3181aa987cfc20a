// Numbers as they are shown: with sign and unit. A true minus is as wide as a plus.

const signed = (x, digits) => {
  const text = Math.abs(x).toFixed(digits);
  if (Number(text) === 0) return text;
  return (x < 0 ? "−" : "+") + text;
};

export const seconds = (s, digits = 2) => `${s.toFixed(digits)} s`;
export const milliseconds = (ms) => `${Math.round(ms)} ms`;
export const semitones = (st, digits = 1) => `${signed(st, digits)} st`;
export const decibels = (db, digits = 1) => `${signed(db, digits)} dB`;
export const times = (factor, digits = 2) => `× ${factor.toFixed(digits)}`;
export const percent = (share) => `${Math.round(100 * share)} %`;
export const plain = (x) => signed(x, 2);
