// Words of the second generation: plurals, synonyms, words that name nothing in this world, and letters that are no
// words at all. Those held out are asked of tests only.

import { SHAPES, SPRITE_NAMES } from '../catalogue.ts'
import type { KeyedRandom } from '../random.ts'

/** All categories. */
export const CATEGORIES: readonly string[] = [...SHAPES, ...SPRITE_NAMES]

const PLURALS: Readonly<Record<string, string>> = {
  cross: 'crosses',
  bus: 'buses',
  fish: 'fish',
  butterfly: 'butterflies',
  strawberry: 'strawberries',
  wrench: 'wrenches',
  scissors: 'scissors',
  dress: 'dresses',
  cactus: 'cacti',
  'piece of clothing': 'pieces of clothing',
  'piece of furniture': 'pieces of furniture',
  food: 'foods',
}

/** More than one of it. */
export function plural(noun: string): string {
  return PLURALS[noun] ?? `${noun}s`
}

/** Other words for a category, which mean no other one of this world. */
export const SYNONYMS: Readonly<Record<string, readonly string[]>> = {
  circle: ['disc', 'disk'],
  square: ['box shape', 'quadrilateral'],
  triangle: ['three-sided shape', 'three-cornered shape'],
  star: ['five-pointed star', 'starlet'],
  diamond: ['rhombus', 'lozenge'],
  hexagon: ['six-sided shape', 'hexagonal shape'],
  cross: ['plus sign', 'plus'],
  heart: ['love heart', 'heart shape'],
  ring: ['hoop', 'donut shape'],
  cat: ['kitty', 'kitten', 'tomcat'],
  dog: ['puppy', 'hound', 'doggy'],
  horse: ['pony', 'stallion'],
  elephant: ['african elephant', 'big grey elephant'],
  fish: ['goldfish', 'tropical fish'],
  duck: ['mallard', 'duckling'],
  owl: ['barn owl', 'night owl'],
  butterfly: ['moth', 'winged insect'],
  turtle: ['tortoise', 'sea turtle'],
  snail: ['slug with a shell', 'garden snail'],
  penguin: ['emperor penguin', 'black and white bird'],
  apple: ['red apple', 'apple fruit'],
  banana: ['ripe banana', 'yellow fruit'],
  pizza: ['pizza slice', 'slice of pizza'],
  burger: ['hamburger', 'cheeseburger'],
  carrot: ['root vegetable', 'orange vegetable'],
  cheese: ['piece of cheese', 'cheese wedge'],
  strawberry: ['red berry', 'berry'],
  car: ['automobile', 'auto'],
  bus: ['coach', 'city bus'],
  bicycle: ['bike', 'cycle'],
  plane: ['airplane', 'aeroplane', 'jet'],
  boat: ['sailboat', 'sailing boat', 'ship'],
  rocket: ['spaceship', 'spacecraft'],
  train: ['locomotive', 'steam engine'],
  scissors: ['pair of scissors', 'shears'],
  hammer: ['mallet', 'claw hammer'],
  wrench: ['spanner', 'bolt wrench'],
  axe: ['hatchet', 'ax'],
  guitar: ['electric guitar', 'string instrument'],
  drum: ['snare drum', 'drum with sticks'],
  trumpet: ['brass horn', 'bugle'],
  shirt: ['t-shirt', 'tee'],
  shoe: ['sneaker', 'trainer'],
  hat: ['top hat', 'cap'],
  dress: ['gown', 'frock'],
  tree: ['leafy tree', 'oak'],
  cactus: ['succulent', 'desert plant'],
  tulip: ['pink flower', 'tulip flower'],
  sunflower: ['yellow flower', 'sun flower'],
  chair: ['seat', 'wooden chair'],
  bed: ['cot', 'bedstead'],
  ball: ['soccer ball', 'football'],
  balloon: ['red balloon', 'party balloon'],
  key: ['door key', 'golden key'],
  umbrella: ['parasol', 'brolly'],
  clock: ['alarm clock', 'timepiece'],
  'light bulb': ['lightbulb', 'bulb', 'lamp'],
  candle: ['wax candle', 'burning candle'],
  camera: ['photo camera', 'photographic camera'],
  phone: ['telephone', 'handset'],
  book: ['blue book', 'closed book'],
  house: ['home', 'cottage'],
  pencil: ['drawing pencil', 'pencil with an eraser'],
  cup: ['mug', 'cup of coffee', 'coffee'],
}

/** Things that are in no scene. One in four is held out. */
const UNKNOWN = (
  'zebra giraffe lion tiger bear wolf fox monkey rabbit mouse cow pig sheep goat chicken rooster eagle parrot pigeon ' +
  'swan shark whale dolphin octopus crab lobster spider ant bee frog snake lizard crocodile dinosaur dragon unicorn ' +
  'grape lemon pear peach cherry pineapple mango melon tomato potato onion pepper mushroom corn bread cake ' +
  'cookie egg sausage soup salad noodle rice milk bottle glass plate bowl spoon fork knife kettle pan oven fridge ' +
  'table sofa couch desk shelf cupboard curtain carpet mirror window door wall floor roof stairs fence bridge road ' +
  'street tower castle church school hospital airport station truck van taxi motorcycle scooter tractor helicopter ' +
  'submarine tank trailer saw drill screwdriver shovel rake ladder bucket rope nail screw piano violin flute harp ' +
  'saxophone microphone speaker radio television computer laptop keyboard tablet printer robot battery cable trousers ' +
  'skirt sock boot glove scarf coat jacket belt tie crown helmet glasses watch necklace backpack suitcase handbag ' +
  'wallet rose daisy grass leaf bush pot palm bamboo river lake sea beach island cloud rain snow moon planet rainbow fire smoke person man woman child baby boy girl doctor teacher king queen soldier face hand ' +
  'foot eye nose mouth ear hair tooth bone skull ghost angel toy doll teddy kite dice card chess puzzle trophy medal ' +
  'flag map letter envelope stamp newspaper painting statue fountain bench lamppost sign arrow pentagon ' +
  'octagon cube sphere cone pyramid spiral crescent trapezoid cylinder'
).split(' ')

/** More of them, for training alone. */
const MORE_UNKNOWN = (
  'camel donkey moose deer elk bison buffalo goose turkey peacock ostrich flamingo crow raven seagull ' +
  'pelican stork hamster squirrel hedgehog beaver badger raccoon otter seal walrus hippo rhino kangaroo ' +
  'koala panda leopard cheetah jaguar panther hyena weasel ferret bat mole rat lynx gorilla chimpanzee ' +
  'orangutan lemur sloth toad salamander newt cobra python viper jellyfish starfish squid shrimp oyster ' +
  'clam eel beetle ladybug grasshopper cricket mosquito wasp worm caterpillar scorpion apricot plum fig ' +
  'kiwi papaya coconut lime raspberry blueberry cranberry raisin olive avocado pumpkin cucumber zucchini ' +
  'eggplant lettuce cabbage spinach broccoli cauliflower celery garlic ginger radish beetroot turnip pea ' +
  'bean lentil peanut almond walnut hazelnut honey jam butter yogurt cream chocolate candy lollipop ' +
  'pudding pie pancake waffle croissant bagel pretzel biscuit sandwich taco burrito sushi steak bacon ham ' +
  'pasta spaghetti ketchup mustard salt sugar flour juice tea wine beer lemonade jar teapot thermos tray ' +
  'napkin chopsticks whisk grater blender toaster microwave dishwasher sink faucet bathtub shower toilet ' +
  'towel soap shampoo toothbrush toothpaste comb hairbrush razor perfume lipstick sponge broom mop vacuum ' +
  'dustpan bin basket crate barrel bag sack purse briefcase parcel bookcase dresser wardrobe drawer ' +
  'mattress pillow blanket quilt rug vase chandelier fireplace chimney radiator fan heater thermostat ' +
  'doorbell gate hinge lock padlock chain pliers chisel file sandpaper anvil wheelbarrow hoe pitchfork ' +
  'sickle lawnmower hose sprinkler tent canoe kayak raft ambulance firetruck bulldozer excavator crane ' +
  'forklift caravan sled skateboard rollerblades skis snowboard surfboard parachute drone satellite ' +
  'telescope microscope binoculars compass calculator typewriter projector headphones earphones joystick ' +
  'mousepad modem router antenna charger plug socket lightning thunder tornado volcano jungle meadow cave ' +
  'cliff canyon waterfall glacier iceberg comet asteroid galaxy clarinet oboe bassoon tuba trombone cello ' +
  'banjo ukulele mandolin accordion harmonica xylophone tambourine cymbal gong bell whistle metronome ' +
  'tuxedo pyjamas bikini swimsuit shorts jeans leggings stocking heel veil mask earring bracelet brooch ' +
  'cufflink ribbon zipper button needle thread yarn fabric lily orchid daffodil violet poppy lavender ivy ' +
  'fern moss clover dandelion acorn pinecone branch twig trunk chef waiter pilot sailor farmer nurse ' +
  'policeman fireman clown wizard witch vampire zombie mermaid fairy giant dwarf pirate knight ninja ' +
  'cowboy hockey tennis golf racket goal hurdle dumbbell trampoline swing slide seesaw carousel dart ' +
  'domino marble yo-yo frisbee snowman scarecrow totem monument windmill lighthouse igloo skyscraper ' +
  'garage tunnel dam well pier dock harbour'
).split(' ')

/** Adjectives that describe no object of this world. */
const UNKNOWN_ADJECTIVES =
  'pink white grey transparent golden wooden rusty furry broken wet angry invisible'.split(' ')

/** Asked where something is to be found, and answered by no picture of this world. */
const OTHER_QUESTIONS = [
  'what is the weather like',
  'how old are you',
  'who painted this',
  'why is the sky blue',
  'what time is it',
  'the meaning of life',
  'the capital of france',
  'tell me a joke',
  'what did i have for breakfast',
  'the second word of this sentence',
  'my bank account',
  'the sound of the sea',
  'yesterday',
  'the square root of nine',
  'please help me with my homework',
  'who won the game',
  'the smell of coffee',
  'nothing at all',
  'open the door',
  'the idea behind this',
  'translate this into german',
  'where did i leave my glasses',
  'the best day of the week',
  'how much does it cost',
]

const isHeldOut = (i: number): boolean => i % 4 === 3

/** The part of a list that training or tests are asked about. */
function part<T>(list: readonly T[], isForTests: boolean): T[] {
  return list.filter((_, i) => isHeldOut(i) === isForTests)
}

const TRAINED_UNKNOWN = [...part(UNKNOWN, false), ...MORE_UNKNOWN]

/** A thing that is in no scene; tests ask for others than training. */
export function unknownThing(random: KeyedRandom, isForTests: boolean): string {
  const nouns = isForTests ? part(UNKNOWN, true) : TRAINED_UNKNOWN
  const noun = random.chance(0.8) ? random.pick(nouns) : madeUp(random)
  return random.chance(0.25) ? `${random.pick(part(UNKNOWN_ADJECTIVES, isForTests))} ${noun}` : noun
}

/** A question that has nothing to do with a picture. */
export function otherQuestion(random: KeyedRandom, isForTests: boolean): string {
  return random.pick(part(OTHER_QUESTIONS, isForTests))
}

const ONSETS = 'b bl br d dr f fl g gl k kr l m n p pl pr r s sk sl sn t tr v w wh z'.split(' ')
const VOWELS = 'a e i o u ee oo ai'.split(' ')
const CODAS = ['', '', 'b', 'ck', 'd', 'ff', 'g', 'm', 'mp', 'n', 'nk', 'p', 'rf', 'sh', 't', 'x', 'zz']

/** A word that could be one, such as "blorf". */
function madeUp(random: KeyedRandom): string {
  const syllable = () => random.pick(ONSETS) + random.pick(VOWELS)
  const word = Array.from({ length: random.int(1, 2) }, syllable).join('') + random.pick(CODAS)
  return CATEGORIES.includes(word) || word.length < 3 ? `${word}ble` : word
}

const ROWS = ['qwertyuiop', 'asdfghjkl', 'zxcvbnm', '1234567890', '.,;:!?-+*/']

/** Letters without sense, such as "asdf qwer". */
export function gibberish(random: KeyedRandom): string {
  const word = () => {
    const length = random.int(2, 7)
    if (random.chance(0.5)) return Array.from({ length }, () => random.pick(LETTERS)).join('')
    const row = random.pick(ROWS)
    const start = random.int(0, row.length - 2)
    return row.slice(start, start + length)
  }
  const text = Array.from({ length: random.int(1, 4) }, word).join(' ')
  return CATEGORIES.includes(text) ? `${text}q` : text
}

const LETTERS = 'abcdefghijklmnopqrstuvwxyz'.split('')
