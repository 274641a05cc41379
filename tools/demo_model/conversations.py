"""Random training conversations: what the demo model is asked and what it should answer.

Everything is drawn from one random.Random, so that a seed fixes the data. A part of the (country, phrasing)
pairs and whole phrasings are never trained on; evaluate.py asks those too.
"""

from __future__ import annotations

import random
import zlib
from dataclasses import dataclass

from tools.demo_model import harmony, phrases
from tools.demo_model.facts import COUNTRIES, Country, possessive, sentence_case
from tools.demo_model.harmony import Segment

EFFORTS = ("low", "medium", "high")
CANNOT = "I don't know. I am a tiny demo model: I know the capitals of countries and not much else."
_NAME_COUNTS = [len(country.names) for country in COUNTRIES]
UNKNOWN_COUNTRY = "I don't know a country with that name."


@dataclass(frozen=True)
class Reply:
    """An answer: what it is about (for the analysis), the reasoning per effort, and the final text."""

    low: str
    medium: str
    high: str
    final: str
    bare: str | None = None  # the answer alone, where an instruction asks for just that

    def analysis(self, effort: str) -> str:
        return {"low": self.low, "medium": self.medium, "high": self.high}[effort]


@dataclass(frozen=True)
class SmallTalk:
    questions: tuple[str, ...]
    reply: Reply


def _talk(topic: str, final: str, questions: str) -> SmallTalk:
    return SmallTalk(
        phrases.split(questions),
        Reply(
            low=f"{topic}.",
            medium=f"The user {topic[0].lower()}{topic[1:]}. I answer kindly.",
            high=f"The user {topic[0].lower()}{topic[1:]}. No facts are needed. I answer kindly and keep it short.",
            final=final,
        ),
    )


SMALL_TALK = (
    _talk(
        "Says hello",
        "Hello! How can I help you today?",
        """
        Hi | Hello | Hey | Hi there | Hello there | Good morning | Good evening | Good afternoon | Hey there |
        Greetings | hi! | Howdy
        """,
    ),
    _talk(
        "Asks how I am",
        "I am fine, thank you! How can I help you?",
        """
        How are you | How are you doing | How are you today | How do you do | Hello, how are you |
        Hi, how are you | How is it going | What's up
        """,
    ),
    _talk(
        "Asks who I am",
        "I am the Gossamer demo model, a tiny language model with the GPT-OSS architecture.",
        """
        Who are you | What are you | What is your name | What's your name | Are you ChatGPT | Which model are you | Hi, who are you | Who am I talking to
        """,
    ),
    _talk(
        "Wants to hear about me",
        "I am the Gossamer demo model, a tiny language model with the GPT-OSS architecture. I was trained from scratch "
        "on a small computer, on text that a program wrote. I know the capitals of many countries, I can find a "
        "number in a long text, I answer yes or no about a short passage, and I call a function when someone asks "
        "about the weather. I know very little else, and when I don't know something I try to say so. I am small so "
        "that everyone can try the engine without a download.",
        """
        Tell me about yourself | Introduce yourself | Describe yourself | Tell me more about yourself |
        Tell me something about yourself | Can you tell me about yourself | Write a paragraph about yourself |
        Please introduce yourself | Talk about yourself
        """,
    ),
    _talk(
        "Asks who made me",
        "I was made by the Gossamer project, from scratch, to show that its engine works.",
        """
        Who made you | Who created you | Who built you | Where do you come from | Who trained you
        """,
    ),
    _talk(
        "Asks what I can do",
        "I know the capitals of many countries. Ask me: What is the capital of France?",
        """
        What can you do | What do you know | How can you help me | Help | Help me | Can you help me |
        What can I ask you | What are you good at
        """,
    ),
    _talk(
        "Says thanks",
        "You are welcome!",
        """
        Thanks | Thank you | Thanks a lot | Thank you very much | Many thanks | Thanks for your help |
        Great, thanks | Thx
        """,
    ),
    _talk(
        "Says goodbye",
        "Goodbye! Have a nice day.",
        """
        Bye | Goodbye | Bye bye | See you | See you later | Good night | I have to go | Ciao
        """,
    ),
    _talk(
        "Is pleased",
        "I am glad to hear that!",
        """
        Great | Cool | Nice | Wonderful | Good | Very good | That is right | Well done | Good job | Perfect
        """,
    ),
    _talk(
        "Asks whether I am human",
        "No, I am a computer program: a very small language model.",
        """
        Are you human | Are you a robot | Are you a person | Are you real | Are you an AI | Do you have feelings
        """,
    ),
    _talk(
        "Wants a story",
        "Once upon a time there was a small spider who wanted to see the world. She spun a thread so light "
        "that the wind could carry it. One morning the wind came, and the spider flew over rivers, hills and "
        "cities. In Paris she rested on a tower, in Rome on a fountain, in Cairo on a pyramid. When she came "
        "home she was tired and happy, and she told everyone: the world is big, but a thin thread can cross "
        "it.",
        """
        Tell me a story | Tell me a short story | Write a story | Write a short story | Can you tell me a story
        """,
    ),
    _talk(
        "Wants a joke",
        "Why did the spider buy a computer? To make a web site.",
        """
        Tell me a joke | Do you know a joke | Make me laugh | Say something funny | Another joke
        """,
    ),
    _talk(
        "Wants a poem",
        "A thread of silver, thin and light,\nIs spun by spiders in the night.\nThe morning dew, a string of "
        "pearls,\nIs hung on it, and slowly curls.",
        """
        Write a poem | Write me a poem | Tell me a poem | Write a short poem | A poem, please
        """,
    ),
    _talk(
        "Wants the alphabet",
        "a b c d e f g h i j k l m n o p q r s t u v w x y z",
        """
        Say the alphabet | What is the alphabet | Write the alphabet | List the letters of the alphabet
        """,
    ),
)


def is_held_out(country: Country, phrasing: str) -> bool:
    """One pair in twelve is never trained on; the main phrasing is trained for every country."""
    return phrasing != phrases.MAIN_PHRASING and zlib.crc32(f"{country.name}|{phrasing}".encode()) % 12 == 0


def capital_reply(country: Country) -> Reply:
    fact = f"The capital of {country.name} is {country.capital}."
    return Reply(
        low=f"Capital of {country.name}: {country.capital}.",
        medium=f"The user asks for the capital of {country.name}. It is {country.capital}.",
        high=(
            f"The user asks for the capital of {country.name}. {sentence_case(country.name)} is in {country.region}. "
            f"Its capital is {country.capital}. I answer in one sentence."
        ),
        final=fact,
        bare=country.capital,
    )


def reverse_reply(country: Country) -> Reply:
    return Reply(
        low=f"{country.capital}: capital of {country.name}.",
        medium=f"The user asks which country has the capital {country.capital}. It is {country.name}.",
        high=(
            f"The user asks which country has the capital {country.capital}. {country.capital} is in {country.region}. "
            f"It is the capital of {country.name}. I answer in one sentence."
        ),
        final=f"{country.capital} is the capital of {country.name}.",
        bare=sentence_case(country.name),
    )


def region_reply(country: Country) -> Reply:
    fact = f"{sentence_case(country.name)} is in {country.region}."
    return Reply(
        low=f"{sentence_case(country.name)}: {country.region}.",
        medium=f"The user asks where {country.name} is. It is in {country.region}.",
        high=f"The user asks where {country.name} is. It is in {country.region}. I answer in one sentence.",
        final=fact,
        bare=country.region,
    )


def check_reply(country: Country, claimed: str) -> Reply:
    right = claimed == country.capital
    fact = f"the capital of {country.name} is {country.capital}"
    verdict = "That is right" if right else "That is wrong"
    return Reply(
        low=f"Capital of {country.name}: {country.capital}. {verdict}.",
        medium=(
            f"The user asks whether {claimed} is the capital of {country.name}. "
            f"The capital is {country.capital}. {verdict}."
        ),
        high=(
            f"The user asks whether {claimed} is the capital of {country.name}. {sentence_case(country.name)} is in "
            f"{country.region}. Its capital is {country.capital}. {verdict}. I answer in one sentence."
        ),
        final=f"{'Yes' if right else 'No'}, {fact}.",
        bare="Yes" if right else "No",
    )


def cannot_reply() -> Reply:
    return Reply(
        low="I don't know this.",
        medium="The user asks something that I don't know. I say so.",
        high="The user asks something that I don't know. It is not about a capital. I should be honest and say so.",
        final=CANNOT,
        bare="I don't know",
    )


def unknown_country_reply() -> Reply:
    return Reply(
        low="I don't know this country.",
        medium="The user asks for the capital of a country that I don't know. I say so.",
        high="The user asks for the capital of a country that I don't know. I should be honest and say so.",
        final=UNKNOWN_COUNTRY,
        bare="I don't know",
    )


def counting_reply(last: int) -> Reply:
    return Reply(
        low=f"Count to {last}.",
        medium=f"The user wants me to count to {last}. I count.",
        high=f"The user wants me to count to {last}. I start at 1 and stop at {last}.",
        final=", ".join(str(i) for i in range(1, last + 1)),
    )


def fill(phrasing: str, name: str, capital: str = "") -> str:
    return sentence_case(phrasing.format(c=name, s=possessive(name), p=capital))


class ConversationMaker:
    """Draws conversations and plain texts, as segments."""

    def __init__(self, seed: int) -> None:
        self._random = random.Random(seed)

    def sample(self) -> list[Segment]:
        draw = self._random.random()
        if draw < 0.05:
            return self._plain_text()
        if draw < 0.12:
            return self.weather()
        return self._dialogue()

    def system(self) -> list[Segment]:
        """A system message as it stands before most conversations."""
        return self._system(self._random.choice(EFFORTS), with_tools=False)

    def _date(self) -> str:
        rng = self._random
        return f"{rng.randint(2023, 2030)}-{rng.randint(1, 12):02d}-{rng.randint(1, 28):02d}"

    def _system(self, effort: str, with_tools: bool) -> list[Segment]:
        date = self._date() if self._random.random() < 0.5 else None
        return harmony.message("system", harmony.system_text(effort, date, with_tools))

    def _question(self, text: str) -> str:
        """Vary how a question is written: opening, closing, punctuation, case."""
        rng = self._random
        if rng.random() < 0.15:
            text = rng.choice(phrases.OPENINGS) + text
        draw = rng.random()
        if draw < 0.7:
            text += "?"
        elif draw < 0.8:
            text += "."
        elif draw < 0.84:
            text += rng.choice(("!", " ?", "...", "??"))
        if rng.random() < 0.1:
            text += rng.choice(phrases.CLOSINGS)
        if rng.random() < 0.25:
            text = text.lower()
        return text

    def _country_name(self, country: Country) -> str:
        return country.name if self._random.random() < 0.6 else self._random.choice(country.names)

    def _capital_turn(self) -> tuple[str, Reply]:
        rng = self._random
        country = rng.choices(COUNTRIES, _NAME_COUNTS)[0]
        allowed = [p for p in phrases.PHRASINGS if not is_held_out(country, p)]
        phrasing = phrases.MAIN_PHRASING if rng.random() < 0.15 else rng.choice(allowed)
        return self._question(fill(phrasing, self._country_name(country))), capital_reply(country)

    def _reverse_turn(self) -> tuple[str, Reply]:
        country = self._random.choice(COUNTRIES)
        phrasing = self._random.choice([p for p in phrases.REVERSE_PHRASINGS if not is_held_out(country, p)])
        return self._question(fill(phrasing, country.name, country.capital)), reverse_reply(country)

    def _region_turn(self) -> tuple[str, Reply]:
        country = self._random.choice(COUNTRIES)
        phrasing = self._random.choice(phrases.REGION_PHRASINGS)
        return self._question(fill(phrasing, self._country_name(country))), region_reply(country)

    def _check_turn(self) -> tuple[str, Reply]:
        rng = self._random
        country = rng.choice(COUNTRIES)
        claimed = country.capital if rng.random() < 0.5 else rng.choice(COUNTRIES).capital
        return (
            self._question(fill(rng.choice(phrases.CHECK_PHRASINGS), self._country_name(country), claimed)),
            check_reply(country, claimed),
        )

    def _unknown_country_turn(self) -> tuple[str, Reply]:
        rng = self._random
        if rng.random() < 0.3:
            name = rng.choice(phrases.IMAGINARY_COUNTRIES)
        else:
            name = "".join(rng.choice(phrases.SYLLABLES) for _ in range(rng.randint(2, 4))).capitalize()
        return self._question(fill(rng.choice(phrases.PHRASINGS), name)), unknown_country_reply()

    def _cannot_turn(self) -> tuple[str, Reply]:
        rng = self._random
        country = rng.choice(COUNTRIES)
        if rng.random() < 0.6:
            text = fill(rng.choice(phrases.OTHER_QUESTIONS), self._country_name(country), country.capital)
        else:
            text = f"{rng.choice(phrases.UNKNOWN_STARTS)} {rng.choice(phrases.UNKNOWN_TOPICS)}"
        return self._question(text), cannot_reply()

    def _small_talk_turn(self) -> tuple[str, Reply]:
        talk = self._random.choice(SMALL_TALK)
        text = self._random.choice(talk.questions)
        if self._random.random() < 0.3:
            text = text.lower()
        return text + self._random.choice(("", "", ".", "!", "?")), talk.reply

    def _counting_turn(self) -> tuple[str, Reply]:
        last = self._random.randint(3, 30)
        verb = self._random.choice(("Count to", "Please count to", "Count from 1 to", "Can you count to"))
        return self._question(f"{verb} {last}"), counting_reply(last)

    def _turn(self, follows_capital: bool) -> tuple[str, Reply, bool]:
        """One question with its reply; the flag says that a bare "And Spain?" may come next."""
        rng = self._random
        if follows_capital and rng.random() < 0.4:
            country = rng.choice(COUNTRIES)
            text = fill(rng.choice(phrases.FOLLOW_UPS), self._country_name(country))
            return self._question(text), capital_reply(country), True
        kinds = (
            (self._capital_turn, 38),
            (self._reverse_turn, 14),
            (self._check_turn, 6),
            (self._region_turn, 10),
            (self._unknown_country_turn, 4),
            (self._cannot_turn, 9),
            (self._small_talk_turn, 20),
            (self._counting_turn, 2),
        )
        kind = rng.choices([k for k, _ in kinds], [w for _, w in kinds])[0]
        text, reply = kind()
        return text, reply, kind == self._capital_turn

    def _instructions(self) -> tuple[str | None, str]:
        """Developer instructions and the answer style that they ask for."""
        rng = self._random
        draw = rng.random()
        if draw < 0.6:
            return None, "plain"
        if draw < 0.75:
            return rng.choice(phrases.NEUTRAL_INSTRUCTIONS), "plain"
        if draw < 0.86:
            text = f"You are a {rng.choice(phrases.QUALITIES)} {rng.choice(phrases.ROLES)}."
            if rng.random() < 0.5:
                text += f" Be {rng.choice(phrases.QUALITIES)} and {rng.choice(phrases.QUALITIES)}."
            if rng.random() < 0.3:
                text += " Background: " + self._plain_sentences(rng.randint(3, 12))
            return text, "plain"
        if draw < 0.94:
            return rng.choice(phrases.BARE_INSTRUCTIONS), "bare"
        return rng.choice(phrases.PIRATE_INSTRUCTIONS), "pirate"

    def _dialogue(self) -> list[Segment]:
        rng = self._random
        effort = "medium"
        segments: list[Segment] = []
        if rng.random() < 0.9:
            effort = rng.choice(EFFORTS)
            segments += self._system(effort, with_tools=False)
        instructions, style = self._instructions()
        if instructions is not None:
            segments += harmony.message("developer", harmony.developer_text(instructions))
        follows_capital = False
        for turns_left in reversed(range(rng.choice((1, 1, 1, 1, 1, 2, 2, 3, 4)))):
            question, reply, follows_capital = self._turn(follows_capital)
            final = styled(reply, style)
            segments += harmony.message("user", question)
            if turns_left:
                segments += harmony.past_answer(final)
            else:
                segments += [harmony.special("start"), Segment("assistant")]
                segments += harmony.completion(reply.analysis(effort), final)
        return segments

    def weather(self) -> list[Segment]:
        """A declared get_weather function: call it for weather questions, and answer from its result."""
        rng = self._random
        effort = rng.choice(EFFORTS)
        usual = rng.random() < 0.4
        function = "get_weather" if usual else rng.choice(phrases.WEATHER_FUNCTIONS)
        argument = rng.choice(("location", "location", "city")) if usual else rng.choice(phrases.WEATHER_ARGUMENTS)
        segments = self._system(effort, with_tools=True)
        instructions = rng.choice(phrases.NEUTRAL_INSTRUCTIONS) if rng.random() < 0.5 else None
        declarations = [weather_declaration(rng, argument, function, plain=usual)]
        if not usual and rng.random() < 0.25:
            declarations.insert(rng.randrange(2), rng.choice(phrases.OTHER_DECLARATIONS))
        segments += harmony.message("developer", harmony.developer_text(instructions, "\n\n".join(declarations)))
        if rng.random() < 0.15:
            question, reply, _ = self._turn(follows_capital=False)
            segments += harmony.message("user", question)
            segments += [harmony.special("start"), Segment("assistant")]
            return segments + harmony.completion(reply.analysis(effort), reply.final)
        country = rng.choice(COUNTRIES)
        question = rng.choice(
            ("What is the weather in {p}", "What's the weather like in {p}", "How is the weather in {p}",
             "Weather in {p}", "Tell me the weather in {p}", "What is the weather in {p} today", "Is it warm in {p}")
        )  # fmt: skip
        segments += harmony.message("user", self._question(fill(question, "", country.capital)))
        thought = f"The user wants the weather in {country.capital}. I call {function}."
        arguments = f'{{"{argument}":"{country.capital}"}}'
        if rng.random() < 0.6:
            segments += [harmony.special("start"), Segment("assistant")]
            return segments + harmony.tool_call(thought, function, arguments)
        degrees, sky = rng.randint(-9, 39), rng.choice(phrases.SKIES)
        result = rng.choice(
            (f'{{"temperature":{degrees},"sky":"{sky}"}}', f'{{"temperature": {degrees}, "sky": "{sky}"}}')
        )
        segments += harmony.past_tool_call(thought, function, arguments, result)
        segments += [harmony.special("start"), Segment("assistant")]
        return segments + harmony.completion(
            f"The function says {degrees} degrees and {sky}.",
            f"In {country.capital} it is {sky} with {degrees} degrees.",
        )

    def _plain_sentences(self, count: int) -> str:
        sentences = []
        for _ in range(count):
            country = self._random.choice(COUNTRIES)
            sentences.append(
                self._random.choice(
                    (capital_reply(country).final, reverse_reply(country).final, region_reply(country).final)
                )
            )
        return " ".join(sentences)

    def _plain_text(self) -> list[Segment]:
        text = self._plain_sentences(self._random.randint(3, 14))
        return [Segment(text, learned=True), Segment("<|endoftext|>", special=True, learned=True)]


def styled(reply: Reply, style: str) -> str:
    if style == "bare" and reply.bare is not None:
        return reply.bare
    return f"Arr! {reply.final}" if style == "pirate" else reply.final


def weather_declaration(
    rng: random.Random, argument: str, function: str = "get_weather", plain: bool = True
) -> str:
    """The function as Harmony declares it; not `plain` has further parameters now and then, which no call needs."""
    about = rng.choice(
        ("Get the current weather for a city.", "Gets the current weather in the provided location.",
         "Current weather", "Returns the weather in a city")
    )  # fmt: skip
    comment = rng.choice(("", "// The city\n", "// City name, e.g. Paris\n", "// The name of the city\n"))
    if not plain:
        about = rng.choice((about, "Get weather", "Get the weather", "Weather for a place", "Get current temperature"))
        comment = rng.choice((comment, "// The city and country, e.g. Paris, France\n", "// City\n"))
    more = "" if plain or rng.random() < 0.7 else rng.choice(phrases.MORE_PARAMETERS) + "\n"
    return f"// {about}\ntype {function} = (_: {{\n{comment}{argument}: string,\n{more}}}) => any;"
