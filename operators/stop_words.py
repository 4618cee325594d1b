"""Words that say nothing of a matter: stop words, and what summaries are full of (`the speaker explains`).

Rarity does this work in long texts (see `words.inverse_frequencies`); a clip of three lines has no
frequencies to speak of, and a summary uses other function words than its source.
"""

from functools import cache

_STOP = {
    "en": (
        "please today yesterday tomorrow a an the and or but nor so yet if then than that this these those "
        "there here it its it's he she they them his her their theirs our ours your yours my mine we us "
        "you i me him who whom whose which what when where why how as at by for from in into of off on "
        "onto out over to up upon with within about above across after against along among around "
        "before behind below beneath beside besides between beyond down during inside near outside "
        "since through throughout toward towards under until till via per am is are was were be been "
        "being do does did doing done have has had having can could may might must shall should will "
        "would let also again all another any anyone anything both each either else enough even ever "
        "every everyone everything few following further however just least less likely many more most "
        "much neither now often once one ones only other others otherwise own perhaps quite rather "
        "really same several some someone something still such therefore thus together too very well "
        "whether while whole yes i'm you're we're they're that's there's let's i've we've you've don't "
        "doesn't didn't isn't aren't wasn't weren't can't cannot couldn't won't wouldn't shouldn't not "
        "no never because although though unless whereas according additionally furthermore moreover "
        "finally overall firstly secondly lastly first next particularly specifically especially "
        "including include includes included like using use used uses based various different get gets "
        "got go goes going make makes made making take takes taken taking give gives given giving "
        "become becomes"
    ),
    "de": (
        "der die das den dem des ein eine einen einem einer eines und oder aber denn sondern wenn dann "
        "als dass daß weil ob obwohl damit um zu zum zur im in an am auf aus bei beim mit nach seit von "
        "vom vor für gegen ohne durch über unter zwischen bis neben hinter während wegen statt trotz ist "
        "sind war waren sei wird werden wurde wurden worden geworden hat haben hatte hatten habe kann "
        "können konnte muss müssen soll sollen sollte will wollen darf dürfen mag möchte er sie es wir "
        "ihr ich du mich mir dich dir sich uns euch ihm ihn ihnen sein seine seinen seinem seiner seines "
        "ihre ihren ihrem ihrer ihres unser unsere mein meine dein deine dieser diese dieses diesen "
        "diesem jener jene jenes welche welcher welches was wer wie wo wann warum auch noch nur schon "
        "sehr so mehr viel viele man nicht kein keine keinen keinem keiner nie niemals da dort hier hin "
        "her doch jedoch etwa ganz alle allen alles andere anderen anderer einige jede jeder jedes jeden "
        "sowie also außerdem zudem zunächst schließlich dabei dafür dazu daran darauf daraus darin davon "
        "damit gibt geht macht lässt"
    ),
    "fr": (
        "le la les l un une des du de d et ou mais donc or ni car si que qu qui quoi dont où quand comme "
        "ce cet cette ces ceci cela ça c il elle ils elles on nous vous je j tu me m te t se s lui leur "
        "leurs son sa ses mon ma mes ton ta tes notre nos votre vos à au aux en dans par pour sur sous "
        "avec sans entre vers chez depuis pendant avant après contre est sont était étaient été être "
        "sera seront soit a ont avait avoir eu fait faire peut peuvent pouvoir doit doivent plus moins "
        "très bien aussi encore même tout tous toute toutes autre autres chaque plusieurs quelques pas "
        "ne n jamais y ainsi alors puis enfin notamment selon afin lors également"
    ),
    "es": (
        "el la los las lo un una unos unas y e o u pero sino si que quien quienes cual cuales cuyo donde "
        "cuando como este esta estos estas ese esa esos esas eso esto aquel aquella él ella ellos ellas "
        "nosotros usted ustedes yo tú me te se le les nos su sus mi mis tu tus nuestro nuestra nuestros "
        "de del a al en con sin por para sobre entre hasta desde hacia durante según contra ante tras es "
        "son era eran fue fueron ser será serán sido está están estar ha han había haber hay tiene tienen "
        "puede "
        "pueden debe deben hace más menos muy también ya todo todos toda todas otro otra otros otras "
        "cada algunos algunas no ni nunca así además finalmente porque aunque pues"
    ),
    "it": (
        "il lo la i gli le l un uno una e ed o ma se che chi cui quale quali dove quando come questo "
        "questa questi queste quello quella quelli quelle egli lei lui loro essi noi voi io tu mi ti si "
        "ci vi ne suo sua suoi sue mio mia tuo nostro nostra vostro di del dello della dei degli delle a "
        "al allo alla ai agli alle da dal dalla dai dalle in nel nello nella nei nelle con su sul sulla "
        "sui sulle per tra fra senza verso durante è sono era erano stato stata stati essere ha hanno "
        "aveva avere c'è può possono deve devono fa più meno molto anche ancora già tutto tutti tutta "
        "tutte altro altri altra altre ogni alcuni alcune non né mai così inoltre infine perché poi dell "
        "all nell sull d"
    ),
    "pt": (
        "o a os as um uma uns umas e ou mas se que quem qual quais cujo onde quando como este esta estes "
        "estas esse essa esses essas isso isto aquele aquela ele ela eles elas nós você vocês eu tu me "
        "te lhe lhes nos seu sua seus suas meu minha nosso nossa de do da dos das a à ao aos às em no na "
        "nos nas num numa com sem por pelo pela pelos pelas para sobre entre até desde durante contra é "
        "são era eram foi foram ser sido está estão estar há tem têm ter tinha pode podem deve devem faz "
        "mais menos muito também já todo todos toda todas outro outra outros outras cada alguns algumas "
        "não nem nunca assim além finalmente porque"
    ),
    "nl": (
        "de het een en of maar want als dan dat die dit deze er hij zij ze wij we jij je u ik hem haar "
        "hen hun zijn mijn jouw ons onze van in op aan bij met naar uit voor door over onder tussen tot "
        "tegen zonder om te is was waren wordt worden werd werden geworden heeft hebben had kan kunnen "
        "moet moeten zal zullen wil ook nog al zeer meer veel niet geen nooit wat wie waar wanneer "
        "waarom hoe alle alles andere elke zo dus daarom echter"
    ),
    "ru": (
        "и в во на с со к ко по из за от до для о об у не ни но а или что чтобы как это этот эта эти тот "
        "та те то он она они оно мы вы я ты его её их наш ваш мой свой который которая которые которое "
        "при через между под над без был была были быть есть же ли бы также ещё уже только все всё очень "
        "так если когда где"
    ),
}

_GENERIC = {
    "en": (
        "speaker presenter lecturer author narrator host instructor teacher lecture video presentation "
        "slide talk clip page document text section segment chapter summary recording session explain "
        "describe discuss show present mention state say tell note introduce cover highlight emphasize "
        "emphasise outline illustrate demonstrate list provide address explore focus begin start end "
        "conclude continue argue claim suggest report according topic shown said told began given"
    ),
    "de": (
        "sprecher sprecherin redner rednerin autor autorin dozent dozentin vortrag vorlesung video "
        "präsentation folie clip seite dokument text abschnitt kapitel zusammenfassung aufnahme erklärt "
        "beschreibt zeigt erläutert nennt sagt erwähnt stellt vor behandelt betont beginnt endet geht "
        "thema"
    ),
    "fr": (
        "orateur oratrice intervenant présentateur auteur conférencier vidéo présentation diapositive "
        "diapo clip page document texte section chapitre résumé explique décrit montre présente "
        "mentionne indique souligne aborde commence sujet exposé conférence"
    ),
    "es": (
        "orador oradora ponente presentador autor autora vídeo video presentación diapositiva clip "
        "página documento texto sección capítulo resumen explica describe muestra presenta menciona "
        "indica destaca aborda comienza tema charla conferencia"
    ),
    "it": (
        "relatore relatrice oratore autore autrice video presentazione diapositiva clip pagina documento "
        "testo sezione capitolo riassunto spiega descrive mostra presenta menziona indica sottolinea "
        "affronta inizia tema lezione conferenza"
    ),
    "pt": (
        "orador oradora palestrante apresentador autor autora vídeo apresentação slide clipe página "
        "documento texto seção capítulo resumo explica descreve mostra apresenta menciona indica destaca "
        "aborda começa tema palestra"
    ),
    "nl": (
        "spreker auteur video presentatie dia clip pagina document tekst hoofdstuk legt beschrijft toont "
        "noemt"
    ),
    "zh": (
        "演讲者 讲者 讲师 作者 主讲人 视频 影片 幻灯片 演示 讲座 页面 文档 "
        "解释 介绍 说明 描述 展示 讨论 提到 指出 强调"
    ),
    "ja": "講師 話者 著者 動画 映像 スライド 発表 講義 説明 紹介 述べ 示し",
}

UNSPACED_STOP = frozenset(
    "的了是在和与及或也都就还又把被对从到为以而着过这那其之们个于等让使有会能可很我你他她它"
)
"""Characters of Chinese that only join others; a pair with one of them is no word."""


@cache
def stop_words(language: str | None) -> frozenset[str]:
    """Function words, casefolded; English ones for a language that has no list."""
    return frozenset(_STOP.get(language or "en", _STOP["en"]).split())


@cache
def generic_words(language: str | None) -> frozenset[str]:
    """Words by which a summary speaks of its source, casefolded; English ones in all their forms."""
    words = _GENERIC.get(language or "en", _GENERIC["en"]).split()
    if (language or "en") not in _GENERIC or language in ("en", None):
        words += [word + ending for word in words for ending in ("s", "es", "d", "ed", "ing")]
        words += [
            word[:-1] + ending for word in words for ending in ("ing", "ies", "ied") if word[-1] in "ey"
        ]
    return frozenset(words)
