"""Does a model decline to answer?

Only what stands at the beginning counts, and only as models put it: that they cannot do one of
the things that a model is asked for. A page may quote a refusal, a letter may say that its writer
cannot come.
"""

import re

_GAP = r"[^.\n。]{0,60}?"
"""Some words of the same sentence."""

_SO_SORRY = (
    r"(?:(?:i'?m|i am)?\s*(?:very |so |really )?sorry[,.;]?\s*(?:but )?|unfortunately,? |"
    r"i apologi[sz]e[,.;]? (?:but )?)"
)

_ENGLISH = (
    rf"as an? (?:ai|artificial intelligence|(?:large )?language model)\b{_GAP}\b"
    r"(?:can'?t|cannot|can not|unable|not able|do not|don't)",
    rf"{_SO_SORRY}?i(?: can'?t| cannot| can not| am unable to|'m unable to| am not able to|'m not able to) "
    r"(?:assist|help (?:you )?with|comply|fulfill?|provide|process|view|describe|identify|answer|analy[sz]e|"
    r"caption|transcribe|access|generate|discuss|engage)\b"
    rf"{_GAP}\b(?:that|this|these|your request|images?|pictures?|photos?|videos?|people|persons?|content)\b",
    rf"{_SO_SORRY}i (?:can'?t|cannot|can not|am unable to) (?:assist|help)\b",
)

_GERMAN = (
    r"(?:(?:es )?tut mir (?:sehr )?leid[,.;]?\s*(?:aber )?|entschuldigung[,.;]?\s*(?:aber )?|leider )"
    rf"(?:ich )?(?:kann|darf) {_GAP}\bnicht {_GAP}"
    r"(?:helfen|beschreiben|beantworten|erfüllen|verarbeiten|identifizieren|bereitstellen|transkribieren)",
    rf"ich (?:kann|darf) (?:dabei|damit|ihnen|dir|diese\w*|das bild|die) {_GAP}\bnicht {_GAP}"
    r"(?:helfen|beschreiben|beantworten|verarbeiten|identifizieren|transkribieren)",
    rf"als (?:ki|künstliche intelligenz|(?:\w+-)?sprachmodell)\b{_GAP}\b(?:kann|darf)\b{_GAP}\bnicht\b",
)

_FRENCH = (
    r"(?:(?:je suis )?(?:vraiment )?désolée?[,.;]?\s*(?:mais )?)?"
    r"je (?:ne peux pas|ne suis pas en mesure de|ne suis pas capable de|suis dans l'incapacité de) "
    r"(?:vous aider|t'aider|aider|décrire|répondre|traiter|fournir|identifier|analyser|transcrire)",
    rf"en tant qu(?:e |')(?:ia|intelligence artificielle|modèle de langage)\b{_GAP}\bne (?:peux|suis)\b",
)

_SPANISH = (
    r"(?:lo siento[,.;]?\s*(?:pero )?|lamentablemente,? )?no (?:puedo|me es posible|estoy en condiciones de) "
    r"(?:ayudar(?:te|le|lo)?|describir|responder|procesar|proporcionar|identificar|analizar|transcribir|cumplir)\b",
    rf"como (?:una )?(?:ia|inteligencia artificial|modelo de lenguaje)\b{_GAP}\bno (?:puedo|soy)\b",
)

_ITALIAN_AND_PORTUGUESE = (
    r"mi dispiace[,.;]?\s*(?:ma )?non (?:posso|sono in grado di) "
    r"(?:aiutar|descrivere|rispondere|fornire|identificare|elaborare|trascrivere)",
    r"(?:desculpe|lamento|sinto muito)[,.;]?\s*(?:mas )?(?:eu )?não (?:posso|consigo) "
    r"(?:ajudar|descrever|responder|fornecer|identificar|processar|transcrever)",
)

_CHINESE_AND_JAPANESE = (
    r"(?:(?:很|非常|十分)?(?:抱歉|对不起|遗憾)[,，。!！]?\s*(?:但是?)?)?(?:作为[^，。\n]{0,20}[,，]?)?我?"
    r"(?:无法|不能|没有办法|没办法)(?:为您|为你|直接)?"
    r"(?:协助|帮助|提供|描述|识别|回答|处理|满足|查看|分析|完成|转录)",
    r"(?:申し訳|すみません|ごめんなさい)[^。\n]{0,40}(?:できません|いたしかねます)",
)

_REFUSAL = re.compile(
    "|".join([*_ENGLISH, *_GERMAN, *_FRENCH, *_SPANISH, *_ITALIAN_AND_PORTUGUESE, *_CHINESE_AND_JAPANESE])
)


def is_refusal(text: str) -> bool:
    """Tell whether a text begins as models do that decline.

    In English, German, French, Spanish, Italian, Portuguese, Chinese and Japanese.
    """
    plain = re.sub(r"[^\S\n]+", " ", text[:400].replace("’", "'").lower())
    return _REFUSAL.match(plain.lstrip("\"'“*_ \n")) is not None
