// The vocabulary of the scenes: words, groups and facts.
//
// Geometric shapes come in colours and patterns; sprites (icons.json) come as they are. A group or a
// fact lists who surely belongs and who might, so that a sentence is only asked where nobody might.

/** The colours of shapes, as they are painted. */
export const COLOURS = {
  red: '#dc2424',
  orange: '#f98a10',
  yellow: '#f5d90a',
  green: '#2c9c3a',
  blue: '#2463e0',
  purple: '#8f35c4',
  brown: '#7d4a22',
  black: '#1b1b20',
} as const

/** The shapes that are drawn, not icons. */
export const SHAPES = [
  'circle',
  'square',
  'triangle',
  'star',
  'diamond',
  'hexagon',
  'cross',
  'heart',
  'ring',
] as const

/** The fillings of shapes. */
export const PATTERNS = ['plain', 'striped', 'dotted'] as const

/** A name of COLOURS. */
export type Colour = keyof typeof COLOURS
/** A name of SHAPES. */
export type ShapeName = (typeof SHAPES)[number]
/** A name of PATTERNS. */
export type Pattern = (typeof PATTERNS)[number]
/** The kind of thing that an object is. */
export type Group =
  | 'shape'
  | 'animal'
  | 'food'
  | 'vehicle'
  | 'tool'
  | 'instrument'
  | 'clothing'
  | 'plant'
  | 'furniture'
  | 'thing'

/** The names of the colours, in the order of COLOURS. */
export const COLOUR_NAMES = Object.keys(COLOURS) as Colour[]

/** category -> the icon of @iconify-json/fluent-emoji-flat it is baked from. */
export const SPRITES = {
  animal: {
    cat: 'cat-face',
    dog: 'dog-face',
    horse: 'horse',
    elephant: 'elephant',
    fish: 'fish',
    duck: 'duck',
    owl: 'owl',
    butterfly: 'butterfly',
    turtle: 'turtle',
    snail: 'snail',
    penguin: 'penguin',
  },
  food: {
    apple: 'red-apple',
    banana: 'banana',
    pizza: 'pizza',
    burger: 'hamburger',
    carrot: 'carrot',
    cheese: 'cheese-wedge',
    strawberry: 'strawberry',
  },
  vehicle: {
    car: 'automobile',
    bus: 'bus',
    bicycle: 'bicycle',
    plane: 'airplane',
    boat: 'sailboat',
    rocket: 'rocket',
    train: 'locomotive',
  },
  tool: { scissors: 'scissors', hammer: 'hammer', wrench: 'wrench', axe: 'axe' },
  instrument: { guitar: 'guitar', drum: 'drum', trumpet: 'trumpet' },
  clothing: { shirt: 't-shirt', shoe: 'running-shoe', hat: 'top-hat', dress: 'dress' },
  plant: { tree: 'deciduous-tree', cactus: 'cactus', tulip: 'tulip', sunflower: 'sunflower' },
  furniture: { chair: 'chair', bed: 'bed' },
  thing: {
    ball: 'soccer-ball',
    balloon: 'balloon',
    key: 'key',
    umbrella: 'umbrella',
    clock: 'alarm-clock',
    'light bulb': 'light-bulb',
    candle: 'candle',
    camera: 'camera',
    phone: 'telephone',
    book: 'blue-book',
    house: 'house',
    pencil: 'pencil',
    cup: 'hot-beverage',
  },
} as const

/** Every sprite's group, by category. */
export const GROUP_OF: ReadonlyMap<string, Group> = new Map(
  Object.entries(SPRITES).flatMap(([group, icons]) =>
    Object.keys(icons).map((category) => [category, group as Group] as const),
  ),
)

/** The categories that icons show. */
export const SPRITE_NAMES: readonly string[] = [...GROUP_OF.keys()]

/** The noun by which a sentence names one member of a group; 'thing' has no name of its own. */
export const GROUP_NOUNS: Partial<Record<Group, string>> = {
  animal: 'animal',
  food: 'food',
  vehicle: 'vehicle',
  tool: 'tool',
  instrument: 'instrument',
  clothing: 'piece of clothing',
  plant: 'plant',
  furniture: 'piece of furniture',
}

/** Objects that a group's noun might mean although they don't belong to it. */
export const GROUP_MAYBE: Partial<Record<Group, readonly string[]>> = {
  food: ['fish', 'cup'],
  tool: ['key', 'pencil', 'umbrella'],
  plant: ['apple', 'banana', 'carrot', 'strawberry'],
  clothing: ['umbrella'],
  vehicle: ['balloon', 'horse'],
  furniture: ['clock', 'candle'],
}

/** Categories said without an article ("not scissors"). */
export const WITHOUT_ARTICLE: ReadonlySet<string> = new Set(['scissors', 'cheese', 'pizza'])

/** An ability or a use: the categories that have it, those that may have it, and sentences that ask for it. */
export interface Fact {
  /** Categories that have it without doubt. */
  readonly yes: readonly string[]
  /** Categories that people might argue about: where a scene shows one, nothing is asked by this fact. */
  readonly maybe?: readonly string[]
  /** Ways of asking for the one object that has it, all with the same meaning. */
  readonly wordings: readonly string[]
}

/** The abilities and uses of things: the ground of `reasoning` sentences. */
export const FACTS: readonly Fact[] = [
  {
    yes: ['owl', 'duck', 'butterfly', 'plane', 'rocket'],
    maybe: ['balloon', 'penguin', 'ball'],
    wordings: ['the one that can fly', 'something that flies', 'what you could see flying in the sky'],
  },
  {
    yes: ['owl', 'duck', 'butterfly', 'plane', 'penguin'],
    maybe: ['rocket'],
    wordings: ['the one with wings', 'something that has wings'],
  },
  {
    yes: ['fish', 'duck', 'turtle', 'penguin'],
    maybe: ['dog', 'horse', 'elephant', 'boat'],
    wordings: ['the animal that swims well', 'the one that can swim'],
  },
  { yes: ['horse'], maybe: ['elephant', 'bicycle', 'car'], wordings: ['the animal you can ride'] },
  { yes: ['cat', 'dog'], maybe: ['fish', 'turtle', 'duck', 'horse', 'snail'], wordings: ['the pet'] },
  { yes: ['dog'], wordings: ['the one that barks', 'the animal that barks'] },
  { yes: ['cat'], wordings: ['the one that says meow', 'the animal that likes to catch a mouse'] },
  {
    yes: ['duck', 'owl', 'penguin'],
    wordings: ['the bird', 'the animal that has feathers', 'the one with a beak'],
  },
  { yes: ['owl'], wordings: ['the bird that is awake at night', 'the one that hunts at night'] },
  { yes: ['penguin'], wordings: ['the bird that lives on the ice', 'the bird that cannot fly'] },
  {
    yes: ['turtle', 'snail'],
    wordings: ['the animal with a shell', 'the slow animal', 'the one that carries its home on its back'],
  },
  { yes: ['elephant'], wordings: ['the animal with a trunk', 'the one with a trunk and big ears'] },
  {
    yes: ['apple', 'banana', 'pizza', 'burger', 'carrot', 'cheese', 'strawberry'],
    maybe: ['fish', 'duck', 'cup', 'snail'],
    wordings: ['something to eat', 'what you could eat', 'the one to eat when you are hungry'],
  },
  { yes: ['apple', 'banana', 'strawberry'], wordings: ['the fruit', 'a sweet fruit'] },
  {
    yes: ['carrot'],
    maybe: ['cactus', 'apple', 'strawberry', 'burger'],
    wordings: ['the vegetable', 'what a rabbit likes to eat'],
  },
  { yes: ['cheese'], maybe: ['pizza', 'burger'], wordings: ['what a mouse likes to eat'] },
  { yes: ['banana'], wordings: ['what a monkey likes to eat', 'the fruit you have to peel'] },
  {
    yes: ['cup'],
    wordings: ['something to drink', 'the one to drink from', 'what you drink in the morning'],
  },
  {
    yes: ['car', 'bus'],
    maybe: ['bicycle', 'train'],
    wordings: ['what you drive on the road', 'the one that drives on the road'],
  },
  {
    yes: ['bus', 'train'],
    maybe: ['plane', 'boat'],
    wordings: ['what many people ride to work', 'the one that takes many people'],
  },
  {
    yes: ['car', 'bus', 'bicycle', 'train'],
    maybe: ['plane'],
    wordings: ['the one with wheels', 'something that has wheels'],
  },
  { yes: ['bicycle'], wordings: ['the one with two wheels', 'the vehicle without an engine'] },
  {
    yes: ['boat'],
    maybe: ['duck'],
    wordings: ['what takes you across the sea', 'the one that travels on water'],
  },
  { yes: ['rocket'], wordings: ['what takes you to the moon', 'the one that travels to space'] },
  { yes: ['train'], wordings: ['the one that runs on rails'] },
  {
    yes: ['scissors'],
    maybe: ['axe', 'pizza', 'cheese'],
    wordings: ['what you would cut paper with', 'the one for cutting'],
  },
  { yes: ['hammer'], maybe: ['axe', 'wrench'], wordings: ['what you would hit a nail with'] },
  { yes: ['axe'], wordings: ['what you would chop wood with'] },
  { yes: ['wrench'], wordings: ['the one for turning bolts'] },
  {
    yes: ['guitar', 'drum', 'trumpet'],
    maybe: ['phone'],
    wordings: ['the one that makes music', 'something to make music with', 'what you would play in a band'],
  },
  { yes: ['guitar'], maybe: ['balloon'], wordings: ['the one with strings', 'the instrument with strings'] },
  { yes: ['trumpet'], wordings: ['the instrument you blow into', 'what you would blow into to make music'] },
  { yes: ['drum'], wordings: ['the instrument you hit with sticks'] },
  {
    yes: ['shirt', 'shoe', 'hat', 'dress'],
    maybe: ['umbrella', 'balloon'],
    wordings: ['something to wear', 'the one you can wear', 'what you would put on in the morning'],
  },
  { yes: ['shoe'], wordings: ['what you wear on your foot', 'the one for running'] },
  { yes: ['hat'], wordings: ['what you wear on your head'] },
  {
    yes: ['tree', 'cactus', 'tulip', 'sunflower'],
    maybe: ['apple', 'banana', 'carrot', 'strawberry'],
    wordings: ['the one that grows', 'something that needs water and sun to grow'],
  },
  {
    yes: ['tulip', 'sunflower'],
    maybe: ['cactus'],
    wordings: ['the flower', 'the one you could put in a vase'],
  },
  { yes: ['cactus'], wordings: ['the plant from the desert', 'the plant you should not touch'] },
  {
    yes: ['chair'],
    maybe: ['bed', 'horse', 'bicycle'],
    wordings: ['something to sit on', 'what you would sit on'],
  },
  {
    yes: ['bed'],
    wordings: ['something to sleep in', 'where you would sleep', 'the one to go to when you are tired'],
  },
  {
    yes: ['ball'],
    maybe: ['balloon'],
    wordings: ['what you would kick in a game', 'the one to play a game with'],
  },
  { yes: ['key'], wordings: ['what opens a door', 'the one you need to open a door'] },
  {
    yes: ['umbrella'],
    maybe: ['house', 'hat'],
    wordings: ['what keeps you dry in the rain', 'the one for a rainy day'],
  },
  {
    yes: ['clock'],
    maybe: ['phone'],
    wordings: ['the one that tells the time', 'what rings in the morning'],
  },
  {
    yes: ['light bulb', 'candle'],
    maybe: ['phone', 'camera', 'car', 'house', 'rocket', 'bus', 'train'],
    wordings: ['the one that gives light', 'what you need in a dark room'],
  },
  { yes: ['candle'], maybe: ['rocket'], wordings: ['the one that burns', 'the one with a flame'] },
  {
    yes: ['camera'],
    maybe: ['phone'],
    wordings: ['what you would take a picture with', 'the one for taking pictures'],
  },
  { yes: ['phone'], wordings: ['what you would call a friend with', 'the one for calling'] },
  { yes: ['book'], maybe: ['phone'], wordings: ['something to read', 'the one with many pages'] },
  { yes: ['pencil'], wordings: ['what you would write with', 'the one for drawing'] },
  { yes: ['house'], maybe: ['tree'], wordings: ['where people live', 'the building'] },
  {
    yes: [
      'cat',
      'dog',
      'horse',
      'elephant',
      'fish',
      'duck',
      'owl',
      'butterfly',
      'turtle',
      'snail',
      'penguin',
    ],
    maybe: ['tree', 'cactus', 'tulip', 'sunflower'],
    wordings: ['the one that is alive', 'the living thing'],
  },
]

/** Combinations only `test` scenes may show: what the model knows of them it must put together itself. */
export const HELD_OUT_SHAPES: readonly (readonly [Colour, ShapeName])[] = [
  ['red', 'star'],
  ['orange', 'cross'],
  ['yellow', 'heart'],
  ['green', 'triangle'],
  ['blue', 'ring'],
  ['purple', 'square'],
  ['brown', 'hexagon'],
  ['black', 'diamond'],
]

/** Sprites that only `test` scenes may show together. */
const HELD_OUT_PAIRS: readonly (readonly [string, string])[] = [
  ['cat', 'guitar'],
  ['dog', 'umbrella'],
  ['owl', 'key'],
  ['apple', 'hammer'],
  ['banana', 'car'],
  ['bicycle', 'clock'],
  ['boat', 'tree'],
  ['hat', 'candle'],
  ['scissors', 'fish'],
  ['plane', 'cactus'],
]

/** True if training leaves out this shape in this colour, so that a test shows if the model combines the two. */
export function isHeldOutShape(colour: string, shape: string): boolean {
  return HELD_OUT_SHAPES.some(([c, s]) => c === colour && s === shape)
}

/** True if training never shows these two categories in one scene, in either order. */
export function isHeldOutPair(a: string, b: string): boolean {
  return HELD_OUT_PAIRS.some(([x, y]) => (x === a && y === b) || (x === b && y === a))
}
