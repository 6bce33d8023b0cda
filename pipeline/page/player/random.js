// The noise of `t2v sample --seed N`, value for value: SHA-256 of the seed, a Mersenne Twister, and the normal
// distribution as torch.randn draws it on a CPU.

const PRIMES = [];
for (let number = 2; PRIMES.length < 64; number++) {
  if (PRIMES.every((prime) => number % prime)) PRIMES.push(number);
}
const fractionBits = (value) => Math.floor((value - Math.floor(value)) * 2 ** 32) >>> 0;
const ROUND_WORDS = PRIMES.map((prime) => fractionBits(Math.cbrt(prime)));
const FIRST_WORDS = PRIMES.slice(0, 8).map((prime) => fractionBits(Math.sqrt(prime)));

// SHA-256 of a text in ASCII -> eight words of 32 bits. FIPS 180-4.
function hashText(text) {
  const length = (Math.floor((text.length + 8) / 64) + 1) * 64;
  const block = new DataView(new ArrayBuffer(length));
  for (let at = 0; at < text.length; at++) block.setUint8(at, text.charCodeAt(at));
  block.setUint8(text.length, 0x80);
  block.setUint32(length - 4, text.length * 8);
  let hash = [...FIRST_WORDS];
  for (let at = 0; at < length; at += 64) hash = hashBlock(hash, block, at);
  return hash;
}

function hashBlock(hash, block, at) {
  const turn = (value, by) => (value >>> by) | (value << (32 - by));
  const words = Array.from({ length: 16 }, (_, place) => block.getUint32(at + 4 * place));
  for (let place = 16; place < 64; place++) {
    const [early, late] = [words[place - 15], words[place - 2]];
    const first = turn(early, 7) ^ turn(early, 18) ^ (early >>> 3);
    const second = turn(late, 17) ^ turn(late, 19) ^ (late >>> 10);
    words.push((words[place - 16] + first + words[place - 7] + second) | 0);
  }
  let [a, b, c, d, e, f, g, h] = hash;
  for (let place = 0; place < 64; place++) {
    const choice = (turn(e, 6) ^ turn(e, 11) ^ turn(e, 25)) + ((e & f) ^ (~e & g));
    const one = (h + choice + ROUND_WORDS[place] + words[place]) | 0;
    const other = ((turn(a, 2) ^ turn(a, 13) ^ turn(a, 22)) + ((a & b) ^ (a & c) ^ (b & c))) | 0;
    [a, b, c, d, e, f, g, h] = [(one + other) | 0, a, b, c, (d + one) | 0, e, f, g];
  }
  return [a, b, c, d, e, f, g, h].map((value, place) => (value + hash[place]) >>> 0);
}

// The Mersenne Twister MT19937 by a seed of 32 bits. Matsumoto & Nishimura 1998.
class Twister {
  constructor(seed) {
    this.state = new Uint32Array(624);
    this.state[0] = seed;
    for (let place = 1; place < 624; place++) {
      const last = this.state[place - 1];
      this.state[place] = Math.imul(1812433253, last ^ (last >>> 30)) + place;
    }
    this.place = 624;
  }

  refill() {
    const { state } = this;
    for (let place = 0; place < 624; place++) {
      const joint = (state[place] & 0x80000000) | (state[(place + 1) % 624] & 0x7fffffff);
      state[place] = state[(place + 397) % 624] ^ (joint >>> 1) ^ (joint & 1 ? 0x9908b0df : 0);
    }
    this.place = 0;
  }

  // 32 bits
  next() {
    if (this.place === 624) this.refill();
    let value = this.state[this.place++];
    value ^= value >>> 11;
    value ^= (value << 7) & 0x9d2c5680;
    value ^= (value << 15) & 0xefc60000;
    return (value ^ (value >>> 18)) >>> 0;
  }

  // in [0,1), of 24 bits
  single() {
    return (this.next() & 0xffffff) / 2 ** 24;
  }

  // in [0,1), of 53 bits
  double() {
    const high = this.next();
    return ((high & 0x1fffff) * 2 ** 32 + this.next()) / 2 ** 53;
  }
}

// Normal values as torch.randn draws them: 16 at a time, of which the last 16 overlap where the count is no multiple,
// and fewer than 16 in pairs. Box & Muller 1958.
function drawNormal(twister, count) {
  return count < 16 ? drawPairs(twister, count) : drawSixteens(twister, count);
}

function drawPairs(twister, count) {
  const values = new Float32Array(count);
  for (let place = 0; place < count; place += 2) {
    const angle = 2 * Math.PI * twister.double();
    const radius = Math.sqrt(-2 * Math.log1p(-twister.double()));
    values[place] = radius * Math.cos(angle);
    if (place + 1 < count) values[place + 1] = radius * Math.sin(angle);
  }
  return values;
}

function drawSixteens(twister, count) {
  const values = new Float32Array(count).map(() => twister.single());
  for (let place = 0; place + 16 <= count; place += 16) makeNormal(values, place);
  if (count % 16) {
    for (let place = count - 16; place < count; place++) values[place] = twister.single();
    makeNormal(values, count - 16);
  }
  return values;
}

function makeNormal(values, first) {
  for (let place = first; place < first + 8; place++) {
    const radius = Math.sqrt(-2 * Math.log(1 - values[place]));
    const angle = 2 * Math.PI * values[place + 8];
    values[place] = radius * Math.cos(angle);
    values[place + 8] = radius * Math.sin(angle);
  }
}

// The noise of the first clip of a seed, a whole number as text or number: [width].
function drawNoise(seed, width) {
  const [high, low] = hashText(`(${seed}, 'z', 0)`);
  return drawNormal(new Twister(((low >>> 1) | (high << 31)) >>> 0), width);
}
