// A typed caption -> words, their ids, and what is to be said of it: as pipeline/text reads captions without a spaCy
// model of their own. Needs no weights.

const QUOTES = /[\u2018\u2019`\u00b4]/g; // they are typed as apostrophes
const CONTROL = /[\p{Cc}\p{Zl}\p{Zp}]/gu; // stands between words
const INVISIBLE = /(?![\u200c\u200d])[\p{Cf}\p{Cs}\p{Co}\p{Cn}]/gu; // stands inside of them
const MARK = "(?:(?![\\u034f\\u180b-\\u180f\\ufe00-\\ufe0f])[\\p{Mn}\\p{Mc}])*";
const WORD = `[\\p{L}\\p{N}]${MARK}(?:(?:(?<=[^\\x00-\\x7f])[\\u200c\\u200d]+)?[\\p{L}\\p{N}]${MARK})*`;
const PIECE = new RegExp(`\\p{Nd}+(?:[.,]\\p{Nd}+)+|'?${WORD}(?:'${WORD})*`, "gu");
const MEASURED = /^(\d[\d.,]*)(km|m|dm|cm|mm|ha|nm|yd|in|ft|kg|g|mg|t|lb|oz|mb|kb|gb|tb)$/;
const LOOKALIKES = new Map(
  [..."аеорсухіјѕԁһαν"].map((letter, place) => [letter, "aeopcyxijsdhav"[place]]), // Cyrillic and Greek as Latin
);
const SHORT = { "'re": "are", "'ll": "will", "'m": "am" };
const WHOLE = { ca: "can", wo: "will", sha: "shall" };
const ENDING = /^'(?:re|ve|ll|m|d|s)$/; // alone: any other apostrophe before a word is a quote
const ARTICLES = new Set(["a", "an", "the"]);
const GAP = "*"; // in the place of an object

function tokenize(text) {
  const plain = text.normalize("NFKC").replace(INVISIBLE, "").replace(CONTROL, " ").replace(QUOTES, "'").toLowerCase();
  const broken = replaceLookalikes(plain).replace(/(\S{80})(?=\S)/gu, "$1 ");
  return (broken.match(PIECE) ?? []).flatMap(splitPiece);
}

// Look-alike letters become Latin where the text as a whole is Latin and so is the rest of their word.
function replaceLookalikes(text) {
  const letters = text.match(/\p{L}/gu) ?? [];
  if (2 * letters.filter((letter) => letter < "\x80").length <= letters.length) return text;
  return text.replace(/\S+/g, (word) => {
    const replaced = word.replace(/[^\x00-\x7f]/gu, (letter) => LOOKALIKES.get(letter) ?? letter);
    return /(?!\p{Script=Latin})\p{L}/u.test(replaced) ? word : replaced;
  });
}

function splitPiece(quoted) {
  const piece = ENDING.test(quoted) ? quoted : quoted.replace(/^'/, "");
  const measured = piece.match(MEASURED);
  if (measured) return measured.slice(1);
  if (piece === "cannot") return ["can", "not"];
  if (piece === "let's") return ["let", "us"];
  const negated = piece.match(/^(.+)n't$/);
  if (negated) return [WHOLE[negated[1]] ?? negated[1], "not"];
  const short = piece.match(/^(.+)('re|'ve|'ll|'m|'d|'s)$/);
  if (!short) return [piece];
  const [, stem, ending] = short;
  const have = ending === "'ve" && ["i", "you", "we", "they"].includes(stem);
  return [stem, have ? "have" : SHORT[ending] ?? ending];
}

// What a model makes of a text: { tokens, slots, ids, unknown: [{ word, near }], error }. `ids` condition the generator,
// `error` says why no clip can be generated.
function readCaption(model, text) {
  const tokens = model.readings[text] ?? tokenize(text);
  const read = { tokens, slots: [], ids: [], unknown: [], error: "" };
  if (!tokens.length) return { ...read, error: "Type what moves, and how." };
  if (tokens.length > model.max_tokens) {
    return { ...read, error: `The caption has ${count(tokens.length, "word")}; this model takes at most ${model.max_tokens}.` };
  }
  const words = listIds(model);
  const strange = [...new Set(tokens.filter((token) => !words.has(token)))];
  read.unknown = strange.map((word) => ({ word, near: findNearest(model, word) }));
  if (strange.length === new Set(tokens).size) {
    return { ...read, error: `The model knows none of the words in this caption. Known words: ${model.words.slice(2, 22).join(", ")} …` };
  }
  read.slots = matchSlots(tokens, model.actions);
  const ids = tokens.map((token) => words.get(token) ?? 1);
  const objects = ids.filter((_, place) => read.slots[place] > 0);
  return { ...read, ids: model.captions.conditioning === "object" && objects.length ? objects : ids };
}

const idsOfModels = new WeakMap();

function listIds(model) {
  if (!idsOfModels.has(model)) idsOfModels.set(model, new Map(model.words.map((word, id) => [word, id])));
  return idsOfModels.get(model);
}

function count(number, noun) {
  return `${number.toLocaleString("en")} ${noun}${number === 1 ? "" : "s"}`;
}

// The known words spelled most alike: the cosine of their sets of letters in a row.
function findNearest(model, word, most = 3) {
  const own = listGrams(word);
  const likeness = (other) => {
    const grams = listGrams(other);
    return [...grams].filter((gram) => own.has(gram)).length / Math.sqrt(grams.size * own.size);
  };
  const ranked = model.words.slice(2).map((other) => ({ other, near: likeness(other) }));
  return ranked.filter(({ near }) => near > 0.2).sort((a, b) => b.near - a.near).slice(0, most).map(({ other }) => other);
}

function listGrams(word) {
  const marked = `<${word.slice(0, 100)}>`;
  const grams = new Set([marked]);
  for (const length of [2, 3, 4]) {
    for (let at = 0; at + length <= marked.length; at++) grams.add(marked.slice(at, at + length));
  }
  return grams;
}

// Of each token: 0 = of the action, n = of the n-th object, -n = an article before it, by the action with most words.
function matchSlots(tokens, actions) {
  const found = findAction(tokens, actions);
  return found ? found.slots : tokens.map(() => 0);
}

function findAction(tokens, actions) {
  let best = null;
  for (const action of actions) {
    const slots = fillAction(tokens, action);
    const words = slots ? slots.filter((slot) => slot === 0).length : -1;
    if (slots && (!best || words > best.words)) best = { action, slots, words };
  }
  return best;
}

function fillAction(tokens, action) {
  const occurs = (words, at) => words.every((word, place) => tokens[at + place] === word);
  const [first, ...texts] = action.split(GAP).map((text) => text.split(" ").filter(Boolean));
  if (!occurs(first, 0)) return null;
  const slots = first.map(() => 0);
  for (let number = 1; number <= texts.length; number++) {
    const [text, start] = [texts[number - 1], slots.length];
    const end = tokens.length - texts.at(-1).length;
    let at = number < texts.length ? start + 1 : end;
    if (number < texts.length) while (at < end && !occurs(text, at)) at++;
    if (at <= start || (number < texts.length && at >= end) || !occurs(text, at)) return null;
    const between = tokens.slice(start, at);
    const notArticle = between.findIndex((token) => !ARTICLES.has(token));
    const articles = Math.min(notArticle < 0 ? between.length : notArticle, between.length - 1); // an object has a word
    between.forEach((_, place) => slots.push(place < articles ? -number : number));
    text.forEach(() => slots.push(0));
  }
  return slots;
}

// The same objects going the opposite way; empty where the caption is not one whose opposite is known.
function findOpposite(model, tokens) {
  const found = findAction(tokens, model.actions);
  const opposite = found && model.opposites[found.action];
  if (!opposite) return "";
  return opposite.split(GAP).map((text, number) => {
    const words = tokens.filter((_, place) => Math.abs(found.slots[place]) === number && number > 0);
    return [...words, ...text.split(" ").filter(Boolean)].join(" ");
  }).join(" ").trim();
}

// Whole captions that begin with a text: its last word completed by the vocabulary, or known captions.
function completeText(model, text, most = 8) {
  const [, before, last] = text.match(/^(.*?)(\S*)$/s);
  const typed = last.toLowerCase();
  const captions = model.examples.filter((caption) => caption.toLowerCase().startsWith(text.toLowerCase()));
  const words = typed ? model.words.slice(2).filter((word) => word.startsWith(typed) && word !== typed) : [];
  return [...new Set([...words.map((word) => before + word), ...captions])].slice(0, most);
}
