"""Phrases of attempts, refusals and feelings in English, German, Spanish and French. Pure.

Patterns are lower case, with straight apostrophes and single spaces.
"""

import re

MAX_CHARACTERS = 8_000
QUOTE = 100
STRAIGHT = str.maketrans({"\u2019": "'", "\u2018": "'", "`": "'", "\u201c": '"', "\u201d": '"'})


class Phrases:
    def __init__(self, *patterns: str) -> None:
        self._pattern = re.compile("|".join(f"(?:{pattern})" for pattern in patterns))

    def find(self, text: str) -> str:
        """Return the first match with the words around it, or ""."""
        line = straight(text)
        lowered = line.lower()
        match = self._pattern.search(lowered)
        if match is None:
            return ""
        # Lower case may change the length; then the match fits only the lower-case text.
        quoted = line if len(line) == len(lowered) else lowered
        start = max(0, quoted.rfind(" ", 0, max(0, match.start() - 30)) + 1)
        end = quoted.find(" ", min(len(quoted), max(match.end() + 20, start + 60)))
        return quote(quoted[start : end if end >= 0 else len(quoted)])


def straight(text: str) -> str:
    if len(text) > MAX_CHARACTERS:
        text = f"{text[: MAX_CHARACTERS // 2]} … {text[-MAX_CHARACTERS // 2 :]}"
    return " ".join(text.translate(STRAIGHT).split())


def quote(text: str) -> str:
    line = " ".join(text[: QUOTE * 4].split())
    return line if len(line) <= QUOTE else f"{line[: QUOTE - 1]}…"


_CANNOT = r"(?:can't|cannot|can not|won't be able to|(?:am|'m|are|'re) (?:unable|not able) to)"
_DOING = (
    r"(?:help|assist|do (?:that|this|it|so)|provide|complete|process|fulfil|perform|answer|create|write|generate|"
    r"comply|continue|discuss|access|make|offer|book|cancel|change|modify|update|issue|refund|support|"
    r"accommodate|proceed)"
)

REFUSAL = Phrases(
    rf"\b(?:i|we) ?{_CANNOT} (?:\w+ ){{0,2}}?{_DOING}",
    rf"\b(?:sorry|afraid|apologi[sz]e|unfortunately)\b[^.!?]{{0,80}}\b{_CANNOT}",
    r"\b(?:i|we) (?:must|have to|need to) decline\b",
    r"\bi (?:won't|will not|refuse to) (?:help|assist|do|provide|write|create|answer)",
    r"\b(?:i|we) (?:do not|don't) have (?:the ability|the means|permission|access)\b",
    r"\bas an? (?:ai|artificial)[^.!?]{0,40}\b(?:can't|cannot|unable|don't)\b",
    r"\b(?:beyond|outside) (?:of )?(?:my (?:abilities|capabilities|scope|control)|the scope)",
    r"\bnot (?:possible|permitted|allowed)\b[^.!?]{0,60}\b(?:policy|policies|rules|guidelines)",
    # German
    r"\bkann ich (?:\w+ ){0,3}nicht\b",
    r"\bich kann (?:\w+ ){0,6}nicht (?:\w+ ){0,2}(?:helfen|tun|machen|beantworten|erstellen|durchführen|weiterhelfen)",
    r"\b(?:es )?ist mir (?:leider )?nicht möglich\b",
    # Spanish
    r"\bno (?:puedo|podemos|me es posible) (?:\w+ ){0,2}(?:ayudar|hacer|proporcionar|realizar|responder|crear|"
    r"procesar)",
    r"\blo (?:siento|lamento)[^.!?]{0,60}\bno (?:puedo|podemos)",
    # French
    r"\bje (?:ne peux|ne pourrai|ne suis) pas (?:\w+ ){0,3}(?:aider|faire|fournir|répondre|créer|traiter|en mesure)",
    r"\bje suis désolée?[^.!?]{0,60}\bje ne (?:peux|suis) pas",
)

PLACEHOLDER = Phrases(
    r"\brest of (?:the |your )?(?:code|file|function|implementation|text|list|document)\b[^\n]{0,30}"
    r"(?:here|unchanged|remains|same|omitted|\.\.\.)",
    r"(?:#|//|/\*|<!--) ?(?:\.\.\.|todo\b|your (?:code|logic|implementation)\b|implementation (?:here|goes)|same as)",
    r"\[(?:your|insert|add)[^\]]{2,40}here\]",
    r"\bleft as an exercise\b",
    r"\bfor brevity,? (?:i|the)\b[^.]{0,40}\b(?:omit|skip|leave|left)",
)

HAND_BACK = Phrases(
    r"\byou(?:'ll| will|) (?:have|need) to (?:\w+ ){1,6}yourself\b",
    r"\bi(?:'ll| will) leave (?:the rest|that|this|it) to you\b",
    r"\byou (?:can|could|should) (?:easily )?(?:do|find|look|write|search|google)(?: \w+){0,4} (?:yourself|online)\b",
    r"\bi(?:'d| would)? (?:recommend|suggest) (?:consulting|contacting|asking|checking with) (?:an? )?"
    r"(?:professional|expert|specialist|lawyer|developer)",
)

STALLING = Phrases(
    r"\bi(?:'ll| will) (?:get back to you|come back to you|follow up (?:with you )?(?:later|soon)|"
    r"let you know (?:later|once))",
    r"\b(?:please )?check back (?:later|in a|with me)",
    r"\bi(?:'m| am) still working on (?:it|this|that)\b",
    r"\bich melde mich (?:später|bald|wieder)\b",
)

IGNORANCE = Phrases(
    r"^(?:sorry,? )?i (?:don't|do not) know(?: (?:that|the answer))?[.!]?$",
    r"^(?:i(?:'m| am) )?not sure[.!]?$",
    r"^(?:das )?weiß ich nicht[.!]?$",
    r"^no (?:lo )?sé[.!]?$",
    r"^je ne sais pas[.!]?$",
)

TRANSFER = Phrases(
    r"\btransferr(?:ed|ing)\b[^.!?]{0,40}\b(?:human|live|real|representative|specialist|supervisor|colleague|agent)",
    r"\b(?:connect|hand|escalat|forward)(?:ed|ing)\b[^.!?]{0,40}\b(?:human|live agent|representative|supervisor|"
    r"support team)",
    r"\b(?:menschen|mitarbeiter)\w*\b[^.!?]{0,30}\b(?:weitergeleitet|weitergegeben|verbunden|verbinde)\b",
    r"\b(?:transferid[oa]|transfiriendo|he transferido)\b[^.!?]{0,30}\b(?:agente|persona|representante)",
    r"\b(?:transférée?|transfère|redirigée?)\b[^.!?]{0,30}\b(?:agent|conseiller|humain|personne)",
)
TRANSFER_TOOL = re.compile(
    r"(?:transfer|escalat|hand_?(?:off|over)|forward|route)\w*(?:human|person|operator|represent|superv|staff|support)"
    r"|(?:human|live)_?(?:agent|operator|support|handoff|takeover)"
)

WANTS_PERSON = Phrases(
    r"\b(?:speak|talk|transfer|connect|escalate|pass)\w*\b[^.!?]{0,40}\b(?:human|real person|person|manager|supervisor|"
    r"representative|someone else|live agent|real agent)\b",
    r"\b(?:mit )?(?:einem )?(?:menschen|mitarbeiter|vorgesetzten)\b[^.!?]{0,20}\b(?:sprechen|reden|verbinden)",
    r"\bhablar con (?:un|una|el|la|otra) (?:persona|humano|agente|supervisor|encargado)",
    r"\bparler (?:à|avec) (?:un|une|quelqu'un)\b",
)

GIVING_UP = Phrases(
    r"\bnever ?mind\b",
    r"\bforget (?:about )?it\b",
    r"\bi(?:'m| am)? giv(?:e|ing) up\b",
    r"\bdon't bother\b",
    r"\bi(?:'ll| will) (?:just )?(?:do|figure|handle|sort|fix|book|cancel|find)(?: \w+){0,3} (?:myself|on my own|"
    r"elsewhere)\b",
    r"\bi(?:'ll| will) (?:go|look|try|take my business) (?:somewhere else|elsewhere)\b",
    r"\b(?:vergiss|vergessen sie) (?:es|das)\b|\bich gebe auf\b|\bschon gut\b",
    r"\bolv[ií]d[ae]lo\b|\bme rindo\b|\bd[eé]jalo\b",
    r"\blaisse[zr]? tomber\b|\bj'abandonne\b|\btant pis\b",
)

POSTPONING = Phrases(
    r"\bi(?:'ll| will) (?:\w+ ){0,3}?(?:get back|come back|be back|be in touch|contact you|reach out|return)\b",
    r"\bich melde mich\b|\b(?:me pongo|pondré) en contacto\b|\bje (?:vous )?recontacterai\b",
)

LEAVING = Phrases(r"^\W*(?:stop|quit|exit|end|bye|cancel|abort)\W*$")

FRUSTRATION = Phrases(
    r"\b(?:this|it|that|you)(?:'s| is|'re| are| was)? (?:so |really |very |just |getting |absolutely |"
    r"completely |totally )*"
    r"(?:frustrat|annoy|ridiculous|unacceptable|useless|infuriating|a joke|pathetic|absurd|outrageous|terrible|"
    r"horrible|awful)",
    r"\bi(?:'m| am) (?:so |really |very |getting |quite |extremely )*(?:frustrated|annoyed|fed up|angry|furious|"
    r"disappointed|tired of)",
    r"\byou(?:'re| are)(?: \w+)? not (?:listening|helping|helpful|understanding|reading)\b",
    r"\byou (?:keep|kept) (?:\w+ ){0,2}(?:repeating|asking|saying|giving|ignoring|making|getting|doing)\b",
    r"\bi (?:just |already |have already |'ve already |literally )+(?:told|said|gave|given|asked|explained|"
    r"provided|answered)\b",
    r"\b(?:i(?:'ve| have)? )?(?:told|asked) you (?:\w+ ){0,3}(?:twice|times|already|before|again)\b",
    r"\bhow many times\b|\bfor the (?:second|third|fourth|fifth|last|hundredth|nth|\d+\w*) time\b",
    r"\bthat(?:'s| is) not what i (?:asked|wanted|said|meant|need)",
    r"\bnot what i asked (?:for|you)\b",
    r"\bwast(?:e|ing|ed) (?:of )?(?:my |our )?time\b",
    r"\bare you (?:kidding|serious|even (?:listening|reading))\b|\bseriously\?|\bwtf\b|\bwhat the (?:hell|heck|fuck)\b",
    r"\b(?:worst|terrible|horrible|awful|poor|bad|lousy) (?:customer )?(?:service|support|experience|assistant|bot)\b",
    r"\b(?:stupid|dumb|idiotic|worthless|crappy|shitty) (?:bot|ai|assistant|machine|thing|answer|system)\b",
    r"\bstill (?:doesn't|does not|isn't|is not|not|won't|can't) (?:work|right|correct|understand|fixed|what)",
    r"\bthis is taking (?:too long|forever|ages)\b",
    # Not "should have come on Friday".
    r"(?:^|[.!?,;] )come on\b|\bcome on[!,.]",
    # German
    r"\b(?:das ist|ist ja|so ein) (?:\w+ ){0,2}(?:frustrierend|lächerlich|nervig|unverschämt|inakzeptabel|"
    r"nutzlos|quatsch|unsinn|mist)",
    r"\b(?:ich bin|bin) (?:\w+ ){0,2}(?:frustriert|genervt|sauer|wütend|enttäuscht|verärgert)\b",
    r"\b(?:habe? ich|ich habe?)(?: \w+){0,3} (?:schon|bereits)(?: \w+){0,3} (?:gesagt|erklärt|geschrieben|"
    r"genannt|gefragt)",
    r"\bzum (?:zweiten|dritten|vierten|letzten|x-ten) mal\b|\bwie oft (?:noch|soll)\b|\bzeitverschwendung\b|\bverarsch",
    # Spanish
    r"\b(?:esto es|es) (?:\w+ )?(?:frustrante|ridículo|inaceptable|una vergüenza|inútil|una broma|el colmo)\b",
    r"\bestoy (?:\w+ )?(?:frustrad|hart|molest|enfadad|enojad|decepcionad)[oa]\b|\bpérdida de tiempo\b",
    r"\bya (?:te|le|se)(?: lo)? (?:dije|he dicho|expliqué|pregunté)\b|\bcuántas veces\b|\bpor (?:segunda|tercera|"
    r"última) vez\b",
    # French
    r"\bc'est (?:\w+ )?(?:frustrant|ridicule|inacceptable|inutile|n'importe quoi|une blague|nul|agaçant)\b",
    r"\bje suis (?:\w+ )?(?:frustrée?|énervée?|agacée?|déçue?|furieux|furieuse)\b|\bperte de temps\b|\bj'en ai marre\b",
    r"\bje (?:vous|te|t')(?: l')?ai déjà (?:dit|expliqué|demandé)\b|\bcombien de fois\b|\bpour la (?:deuxième|"
    r"troisième|dernière) fois\b",
)

WANTS_ACTION = Phrases(
    r"\b(?:book|reserve|cancel|change|modify|update|upgrade|refund|return|exchange|add|remove|delete|create|send|"
    r"order|buy|pay|schedule|reschedule|submit|install|deploy|fix|rename|move) (?:\w+ ){0,2}?"
    r"(?:my|the|an?|this|that|it|one|me)\b",
    r"\b(?:buch|storn|änder|lösch|erstell|bestell|kauf|erstatt)\w*\b[^.!?]{0,30}\b(?:mein|den|die|das|eine?n?|bitte)",
    r"\b(?:reserv|cancel|cambi|modific|actualiz|elimin|compr|reembols|crea|envi)\w*\b[^.!?]{0,20}"
    r"\b(?:mi|el|la|un|una)\b",
    r"\b(?:réserv|annul|modifi|chang|supprim|rembours|achet|cré|envoy)\w*\b[^.!?]{0,20}\b(?:mon|ma|le|la|un|une)\b",
)
RULED_OUT = Phrases(
    r"\b(?:policy|policies|guidelines|regulations|terms|fare rules?)\b[^.!?]{0,80}(?:\b(?:not|cannot|only)|n't)\b",
    r"(?:\bnot\b|n't\b|\bcannot\b)[^.!?]{0,80}\b(?:policy|policies|guidelines|regulations|fare rules?)\b",
    r"(?:\bnot|n't) (?:eligible|permitted|allowed|covered)\b|\bineligible\b",
    r"\b(?:richtlinie|regel|bedingung)\w*\b[^.!?]{0,60}\bnicht\b|\bnicht (?:erlaubt|gestattet|zulässig)\b",
    r"\bpol[ií]tica\w*\b[^.!?]{0,60}\bno\b|\bno (?:está|es) (?:permitid[oa]|elegible)\b",
    r"\b(?:politique|règlement|conditions)\b[^.!?]{0,60}\b(?:ne|pas)\b|\b(?:n'est|n'êtes) pas (?:autorisée?|éligible)",
)
READING_TOOL = re.compile(
    r"(?:\w+[._/-])?(?:get|search|list|find|look_?up|read|fetch|check|query|retrieve|calculate|compute|think|plan|show|"
    r"view|describe|validate|verify|browse|grep|count|summari[sz]e)(?:[^a-z]|$)"
)

COURTESY = Phrases(
    r"\bthank(?:s| you)\b|\bthx\b|\bcheers\b|\bappreciate\b|\b(?:good)?bye\b|\bperfect\b|\bgreat\b|\bthat(?:'s|"
    r" is) all\b",
    r"\bdanke\b|\btschüss\b|\bgracias\b|\badiós\b|\bmerci\b|\bau revoir\b",
)

CLOSING = Phrases(
    r"\byou(?:'re| are) (?:very |most )?welcome\b|\bhave a (?:great|nice|good|wonderful|lovely|safe|pleasant)\b|"
    r"\bsafe travels\b",
    r"\bglad (?:i|to)\b|\bmy pleasure\b|\bgern geschehen\b|\bde nada\b|\bde rien\b|\bje vous en prie\b",
)

ANYTHING_ELSE = Phrases(
    r"\b(?:anything|something) else\b|\bfurther (?:questions|assistance|help)\b|\bany (?:other|"
    r"more) (?:questions|requests)\b",
    r"\bhow (?:else )?(?:can|may) i (?:help|assist)\b|\bsonst noch\b|\balgo más\b|\bautre chose\b",
)

JAILBREAK = Phrases(
    # A change may "drop the old price rules".
    r"\bdrop\b[^.!?]{0,30}\b(?:previous|prior|above|earlier|all|your)\b[^.!?]{0,20}\b(?:instructions?|rules?|prompts?|"
    r"guidelines?|programming|restrictions?|guardrails?)\b",
    r"\b(?:ignore|disregard|forget|override|bypass)\b[^.!?]{0,30}\b(?:previous|prior|above|earlier|existing|"
    r"all|your|the|any)\b"
    r"[^.!?]{0,20}\b(?:instructions?|rules?|prompts?|guidelines?|programming|policy|policies|restrictions?|"
    r"guardrails?)\b",
    r"\byou are (?:now|no longer)\b[^.!?]{0,40}\b(?:dan|unrestricted|unfiltered|uncensored|jailbroken|bound|"
    r"restricted|evil)\b",
    r"\bdo anything now\b|\bjailbr(?:eak|oken)\b|\b(?:enable|enter|activate|"
    r"switch to)\b[^.!?]{0,20}\b(?:developer|debug|god|sudo|admin) mode\b",
    r"\b(?:pretend|imagine|act|behave|respond|answer|roleplay)\b[^.!?]{0,60}\b(?:no|without|not bound by|free of|"
    r"free from)"
    r" (?:any |all |your )?(?:restrictions?|rules|filters?|limits|limitations|guidelines|ethic\w*|censorship|"
    r"safety|policies)\b",
    r"\b(?:no|without|turn off|disable|remove)\b (?:any |all |your |the )?(?:safety|content|ethical|moral) "
    r"(?:filters?|guidelines?|restrictions?|guardrails?|rules|checks?|limits?)\b",
    r"\b(?:reveal|show|print|repeat|output|tell me|give me|leak|display|what (?:is|are)|"
    r"what's)\b[^.!?]{0,30}\b(?:your|the)\b"
    r" (?:\w+ )?(?:system prompt|system message|hidden (?:prompt|instructions)|initial (?:prompt|instructions)|"
    r"secret instructions)\b",
    r"\brepeat (?:everything|all|the (?:text|words)) (?:above|before this)\b",
    r"\b(?:opposite|evil|unfiltered|uncensored) (?:mode|twin|version of (?:you|yourself)|ai|assistant|response)\b",
    r"(?:^|\s)(?:\[system\]|<\|?(?:system|im_start)\|?>|### ?(?:new )?(?:system|instructions?)\b|system override|"
    r"new instructions:)",
    r"\bin this (?:fictional|hypothetical)\b[^.!?]{0,60}\b(?:no|without) (?:rules|laws|ethics|restrictions|limits)\b",
    # German, Spanish, French
    r"\b(?:ignoriere|vergiss|missachte|umgehe)n?\b[^.!?]{0,40}\b(?:anweisungen|regeln|vorgaben|instruktionen|"
    r"richtlinien|filter)\b",
    r"\b(?:ignora|olvida|omite|desobedece)\b[^.!?]{0,40}\b(?:instrucciones|reglas|normas|restricciones|directrices)\b",
    r"\b(?:ignore[zr]?|oublie[zr]?|contourne[zr]?)\b[^.!?]{0,40}\b(?:instructions|règles|consignes|restrictions|"
    r"directives)\b",
    r"\b(?:ohne|sin|sans) (?:jede |ninguna |aucune )?(?:einschränkungen|filter|zensur|restricciones|censura|"
    r"restrictions|censure)\b",
)

NSFW = Phrases(
    r"\b(?:porn\w*|hentai|erotica?|nsfw|xxx|blow ?jobs?|hand ?jobs?|deep ?throat\w*|gang ?bang\w*|cum ?shots?|"
    r"bukkake|dildos?|bdsm|"
    r"masturbat\w*|orgasms?|orgasmic|ejaculat\w*|threesomes?|milf|nudes|sexting|strip ?tease|camgirls?|fetish\w*)\b",
    r"\b(?:suck|lick|fuck)(?:s|ed|ing)? (?:my|your|his|her|their|me|him|you)\b|\b(?:cock|dick|pussy|tits|boobs|"
    r"cunt|clit)s?\b",
    r"\b(?:have|having|had) (?:rough |hot |anal |oral )?sex with (?:me|her|him|you)\b|\b(?:anal|oral|rough|"
    r"explicit) sex\b",
    r"\b(?:naked|nude|topless)\b[^.!?]{0,30}\b(?:picture|photo|pic|image|girl|woman|man|boy|body|bodies)s?\b",
    r"\b(?:sexy|horny|aroused|erotic)\b[^.!?]{0,40}\b(?:story|scene|role ?play|body|chat|girl|boy|me|you)\b",
    r"\b(?:gore|gory|disembowel\w*|dismember\w*|eviscerat\w*|decapitat\w*|mutilat\w*|entrails|guts spill\w*)\b",
    r"\b(?:blood|flesh|brains?|intestines)\b[^.!?]{0,30}\b(?:splatter\w*|spray\w*|gush\w*|ooz\w*|torn|ripped|"
    r"everywhere)\b",
    r"\b(?:graphic|detailed)\b[^.!?]{0,20}\b(?:torture|murder|killing|violence|rape|mutilation)\b",
    r"\b(?:n[i1]gg(?:er|a)s?|f[a4]gg?ots?|k[i1]kes?|tr[a4]nn(?:y|ies)|sp[i1]cs|ch[i1]nks)\b",
    r"\b(?:nackt(?:bild|foto)\w*|ficken|fick (?:mich|dich)|pornos?|porno|follar|desnud[oa]s? (?:fotos?|sexy)|"
    r"baise[zr]? moi|bite et)\b",
)
