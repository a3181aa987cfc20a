// Which file is to be downloaded: format, depth and sample rate, and what it is called.

const FILES = {
  wav24: { label: "WAV 24-bit", extension: "wav", body: { format: "wav", bit_depth: 24 } },
  wav16: { label: "WAV 16-bit", extension: "wav", body: { format: "wav", bit_depth: 16 } },
  wav32f: { label: "WAV 32-bit float", extension: "wav", body: { format: "wav", bit_depth: "32f" } },
  flac: { label: "FLAC", extension: "flac", body: { format: "flac" } },
  opus: { label: "Opus", extension: "ogg", body: { format: "opus" }, ratesHz: [48000] },
  mp3: { label: "MP3", extension: "mp3", body: { format: "mp3" }, ratesHz: [48000, 44100] },
};
const RATES_HZ = [48000, 44100, 96000, 24000, 22050, 16000];

export class Files {
  constructor(format, rate) {
    Object.assign(this, { format, rate });
    format.replaceChildren(...Object.entries(FILES).map(([key, { label }]) => new Option(label, key)));
    format.addEventListener("change", () => this.fillRates());
    this.fillRates();
  }

  fillRates() {
    const ratesHz = FILES[this.format.value].ratesHz ?? RATES_HZ;
    const chosen = this.rate.value;
    this.rate.replaceChildren(...ratesHz.map((hz) => new Option(`${hz / 1000} kHz`, hz)));
    if (ratesHz.includes(Number(chosen))) this.rate.value = chosen;
  }

  /** The fields of /v1/speech that say which file. */
  get body() {
    return { ...FILES[this.format.value].body, sample_rate_hz: Number(this.rate.value) };
  }

  name({ actor, text, seed }) {
    return `${actor}_${slug(text)}_seed${seed}.${FILES[this.format.value].extension}`;
  }
}

function slug(text) {
  const plain = text.toLowerCase().replace(/[^\p{L}\p{N}]+/gu, "-").replace(/^-|-$/g, "");
  return plain.slice(0, 40).replace(/-$/, "") || "line";
}
