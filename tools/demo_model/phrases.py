"""What users say to the demo model in training: phrasings with {c} a country, {s} its possessive, {p} a capital."""

from __future__ import annotations


def split(text: str) -> tuple[str, ...]:
    """The parts between bars; line ends count as spaces."""
    return tuple(" ".join(part.split()) for part in text.split("|"))


MAIN_PHRASING = "What is the capital of {c}"
PHRASINGS = split("""
What is the capital of {c} | What's the capital of {c} | What is {s} capital | What is the capital city of {c} |
What is the name of the capital of {c} | Which city is the capital of {c} | What city is the capital of {c} |
Tell me the capital of {c} | Tell me {s} capital | Name the capital of {c} | Give me the capital of {c} |
Capital of {c} | The capital of {c} | {c} capital | Capital city of {c} | Do you know the capital of {c} |
Can you tell me the capital of {c} | Could you tell me what the capital of {c} is |
I want to know the capital of {c} | I would like to know {s} capital | What is the capital of the country {c} |
The capital of {c} is | {c}: what is its capital | Where is the government of {c}
""")
# Never trained on; evaluate.py asks them.
HELD_OUT_PHRASINGS = split("""
Do you know what {s} capital is | Can you name the capital city of {c} |
Please tell me which city is the capital of {c} | Could you give me the name of the capital of {c} |
I want to know which city is the capital of {c} | Tell me what the capital of {c} is
""")
REVERSE_PHRASINGS = split("""
{p} is the capital of which country | Which country has the capital {p} | What country is {p} the capital of |
{p} is the capital of what | Of which country is {p} the capital
""")
REGION_PHRASINGS = split("""
Where is {c} | In which part of the world is {c} | Which continent is {c} in | On which continent is {c}
""")
CHECK_PHRASINGS = split("""
Is {p} the capital of {c} | Is the capital of {c} {p} | {p} is the capital of {c}, right
""")
FOLLOW_UPS = split("""
And {c} | And of {c} | What about {c} | How about {c} | And the capital of {c} | {c} | Now {c}
""")
OPENINGS = ("Please: ", "Hi! ", "Hello! ", "Hello, ", "Hi, ", "Hey, ", "One question: ", "Quick question: ") + (
    "Good morning. ",
    "OK, ",
)
CLOSINGS = (" please", ", please", " Thanks!", " Thank you.")
OTHER_QUESTIONS = split("""
What is 2 + 2 | What time is it | What is the meaning of life | Who wrote Hamlet | Who wrote Faust |
How far is the Moon | What is the speed of light | Who is the president of {c} | What is the population of {c} |
How many people live in {c} | What is the currency of {c} | What language do people speak in {c} |
How big is {c} | What is the flag of {c} | Who won the World Cup | Translate good morning into French |
Write a program in Python | Write an essay about {c} | What is the weather today | Will it rain tomorrow |
What is the tallest mountain in the world | What is the longest river in {c} | Solve x + 3 = 7 |
What is the square root of 16 | Explain quantum physics | Explain how a computer works | Who was Napoleon |
When did the Second World War end | What should I eat tonight | Recommend a book | What is the best film |
How do I cook rice | How do I learn to swim | Why is the sky blue | Why is the sea salty |
Who is Albert Einstein | Who invented the telephone | What is a neural network | How old are you |
Where do you live | Do you like music | What is the history of {c} | When was {c} founded |
What are the largest cities of {c} | What is love | How tall is the Eiffel Tower | Which day is it |
What is the date | What is my name | Sing a song | Summarize this text | How much is 12 times 12 |
Play a game with me | Is it warm in {p} | How many people live in {p} | What can I see in {p} |
Who is the mayor of {p} | How do I get to {p}
""")
UNKNOWN_STARTS = split("""
What is | What are | Who is | Who invented | Who discovered | How do I use | How does | Why is |
Where can I buy | When was | Explain | Tell me about | Describe | Write about | Do you know | Do you like |
How many | How much is | Can you make | Give me
""")
UNKNOWN_TOPICS = split("""
the sun | a cat | my dog | the ocean | a car | bread | football | chess | the internet | a star | gravity |
the piano | good coffee | a tree | the winter | art | mathematics | history | a horse | the price of gold |
a bird | cheese | your favorite color | the largest city in the world | electricity | a black hole |
the human heart | a river | green tea | money | climate change | philosophy | the president | a rocket |
the best phone | tomatoes | world peace | an atom | sleep | the news
""")
NEUTRAL_INSTRUCTIONS = split("""
You are a helpful assistant. | Be kind. | Be helpful. | Answer truthfully. | Be concise and polite. |
You are a friendly teacher. | Help the user with geography questions. | Answer in English. |
You are a geography expert. | Always be honest. | Do not make things up. | You are a travel guide. |
Answer the user's questions. | You are a helpful assistant. Answer in complete sentences.
""")
BARE_INSTRUCTIONS = split("""
Answer with the name only. | Answer in one word. | Reply with just the answer. | Answer with one word only. |
Give only the name, no sentence. | Be extremely brief: only the name.
""")
PIRATE_INSTRUCTIONS = split("""
Talk like a pirate. | Speak like a pirate. | You are a pirate. | Answer like a pirate.
""")
ROLES = split("""
assistant | teacher | librarian | guide | writer | engineer | doctor | historian | chef | poet | scientist |
lawyer
""")
QUALITIES = split("""
helpful | friendly | patient | careful | honest | polite | calm | cheerful | serious | smart
""")
SKIES = split("""
sunny | cloudy | rainy | windy | foggy | snowy
""")
SYLLABLES = split("""
bla | dor | gran | ven | mi | tor | zu | kel | lo | phan | ria | nia | stan | vo | qua | land | ti | xa | wen |
sol | ur | mar
""")
IMAGINARY_COUNTRIES = split("""
Atlantis | Narnia | Mordor | Wakanda | Utopia | the Moon | Mars | Middle Earth | Lilliput | Ruritania | Oz |
Gondor
""")
WEATHER_FUNCTIONS = split("""
get_weather | get_current_weather | get_weather | get_current_weather | get_current_temperature | fetch_weather |
weather | getWeather | check_weather | get_forecast | get_weather_forecast | weather_now | get_local_weather
""")
WEATHER_ARGUMENTS = split("""
location | city | location | city | place | town | city_name | name | where | query
""")
# Never trained on; evaluate.py declares them.
HELD_OUT_WEATHER = (("lookup_weather", "location"), ("current_weather", "city"), ("get_temperature", "place_name"))
OTHER_DECLARATIONS = (
    "// Get the current time in a city.\ntype get_time = (_: {\ncity: string,\n}) => any;",
    "// Search the web.\ntype search = (_: {\nquery: string,\n}) => any;",
    "// Add two numbers.\ntype add = (_: {\na: number,\nb: number,\n}) => any;",
)
MORE_PARAMETERS = (
    'unit?: "celsius" | "fahrenheit",',
    'unit?: "celsius" | "fahrenheit", // default: celsius',
    'format?: "celsius" | "fahrenheit",',
    "days?: number,",
)
