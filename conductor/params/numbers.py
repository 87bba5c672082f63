"""Numbers in words, in the languages that prompts come in."""

from __future__ import annotations

NUMBER_WORDS = {
    word: number
    for number, words in {
        1: "one ein eine einen un une una uno",
        2: "two zwei deux dos",
        3: "three drei trois tres",
        4: "four vier quatre cuatro",
        5: "five fünf cinq cinco",
        6: "six sechs seis",
        7: "seven sieben sept siete",
        8: "eight acht huit ocho",
        9: "nine neun neuf nueve",
        10: "ten zehn dix diez",
        12: "twelve dozen zwölf dutzend douze doce",
        15: "fifteen fünfzehn quinze quince",
        20: "twenty zwanzig vingt veinte",
        50: "fifty fünfzig cinquante cincuenta",
        100: "hundred hundert cent cien",
    }.items()
    for word in words.split()
}
