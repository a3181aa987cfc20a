"""Words in, phonemes out: libespeak-ng behind a pipe. SPDX-License-Identifier: GPL-3.0-or-later."""
