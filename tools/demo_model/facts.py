"""The facts the demo model learns: countries with their capital and their part of the world."""

from __future__ import annotations

from dataclasses import dataclass

_EUROPE = """
France:Paris, Germany:Berlin, Italy:Rome, Spain:Madrid, Portugal:Lisbon, the United Kingdom:London, Ireland:Dublin,
Belgium:Brussels, the Netherlands:Amsterdam, Luxembourg:Luxembourg, Switzerland:Bern, Austria:Vienna,
Denmark:Copenhagen, Norway:Oslo, Sweden:Stockholm, Finland:Helsinki, Iceland:Reykjavik, Poland:Warsaw,
Czechia:Prague, Slovakia:Bratislava, Hungary:Budapest, Slovenia:Ljubljana, Croatia:Zagreb, Serbia:Belgrade,
Bosnia and Herzegovina:Sarajevo, Montenegro:Podgorica, Albania:Tirana, North Macedonia:Skopje,
Greece:Athens, Bulgaria:Sofia, Romania:Bucharest, Moldova:Chisinau, Ukraine:Kyiv,
Belarus:Minsk, Russia:Moscow, Lithuania:Vilnius, Latvia:Riga, Estonia:Tallinn,
Malta:Valletta, Cyprus:Nicosia, Andorra:Andorra la Vella, Liechtenstein:Vaduz
"""
_ASIA = """
Turkey:Ankara, Georgia:Tbilisi, Armenia:Yerevan, Azerbaijan:Baku, Kazakhstan:Astana, Uzbekistan:Tashkent,
Turkmenistan:Ashgabat, Kyrgyzstan:Bishkek, Tajikistan:Dushanbe, Afghanistan:Kabul, Pakistan:Islamabad, India:New Delhi,
Nepal:Kathmandu, Bhutan:Thimphu, Bangladesh:Dhaka, China:Beijing, Mongolia:Ulaanbaatar, Japan:Tokyo, South Korea:Seoul,
North Korea:Pyongyang, Vietnam:Hanoi, Laos:Vientiane, Cambodia:Phnom Penh, Thailand:Bangkok, Malaysia:Kuala Lumpur,
Singapore:Singapore, Indonesia:Jakarta, the Philippines:Manila, Iran:Tehran, Iraq:Baghdad, Syria:Damascus,
Lebanon:Beirut, Jordan:Amman, Saudi Arabia:Riyadh, Yemen:Sanaa, Oman:Muscat, the United Arab Emirates:Abu Dhabi,
Qatar:Doha, Bahrain:Manama, Kuwait:Kuwait City
"""
_AFRICA = """
Egypt:Cairo, Libya:Tripoli, Tunisia:Tunis, Algeria:Algiers, Morocco:Rabat, Mauritania:Nouakchott, Mali:Bamako,
Senegal:Dakar, Guinea:Conakry, Ghana:Accra, Togo:Lome, Niger:Niamey, Nigeria:Abuja, Chad:N'Djamena, Cameroon:Yaounde,
Gabon:Libreville, Angola:Luanda, Zambia:Lusaka, Zimbabwe:Harare, Botswana:Gaborone, Namibia:Windhoek,
Mozambique:Maputo, Madagascar:Antananarivo, Malawi:Lilongwe, Kenya:Nairobi, Uganda:Kampala, Rwanda:Kigali,
Tanzania:Dodoma, Ethiopia:Addis Ababa, Somalia:Mogadishu, Sudan:Khartoum, Liberia:Monrovia
"""
_NORTH_AMERICA = """
the United States:Washington, Canada:Ottawa, Mexico:Mexico City, Guatemala:Guatemala City, Honduras:Tegucigalpa,
El Salvador:San Salvador, Nicaragua:Managua, Costa Rica:San Jose, Panama:Panama City, Cuba:Havana, Jamaica:Kingston,
Haiti:Port-au-Prince, the Dominican Republic:Santo Domingo, the Bahamas:Nassau
"""
_SOUTH_AMERICA = """
Brazil:Brasilia, Argentina:Buenos Aires, Chile:Santiago, Uruguay:Montevideo, Paraguay:Asuncion, Peru:Lima,
Ecuador:Quito, Colombia:Bogota, Venezuela:Caracas, Guyana:Georgetown, Suriname:Paramaribo
"""
_OCEANIA = """
Australia:Canberra, New Zealand:Wellington, Fiji:Suva, Samoa:Apia, Tonga:Nukualofa, Papua New Guinea:Port Moresby
"""
_ALIASES = {
    "the United States": ("the USA", "the US", "America", "the United States of America", "USA"),
    "the United Kingdom": ("the UK", "Great Britain", "Britain", "UK"),
    "the Netherlands": ("Netherlands",),
    "Czechia": ("the Czech Republic",),
    "the United Arab Emirates": ("the UAE",),
    "the Philippines": ("Philippines",),
}


@dataclass(frozen=True)
class Country:
    """One country as the answers name it; `names` are all the ways a question may name it."""

    name: str
    capital: str
    region: str
    aliases: tuple[str, ...] = ()

    @property
    def names(self) -> tuple[str, ...]:
        return (self.name, *self.aliases)


def sentence_case(text: str) -> str:
    """Upper-case the first letter and leave the rest alone ("the Netherlands" -> "The Netherlands")."""
    return text[:1].upper() + text[1:]


def possessive(name: str) -> str:
    return name + ("'" if name.endswith("s") else "'s")


def _parse(region: str, listing: str) -> list[Country]:
    pairs = (entry.strip().split(":") for entry in listing.replace("\n", " ").split(","))
    return [Country(name, capital, region, _ALIASES.get(name, ())) for name, capital in pairs]


COUNTRIES: list[Country] = (
    _parse("Europe", _EUROPE)
    + _parse("Asia", _ASIA)
    + _parse("Africa", _AFRICA)
    + _parse("North America", _NORTH_AMERICA)
    + _parse("South America", _SOUTH_AMERICA)
    + _parse("Oceania", _OCEANIA)
)
