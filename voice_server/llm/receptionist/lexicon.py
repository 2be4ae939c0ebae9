"""Word lists of the receptionist, kept apart from the rules that use them."""

from __future__ import annotations


def _set(words: str) -> frozenset[str]:
    return frozenset(words.split())


MURMURS = _set(
    """
    yes yeah ok okay hello hm mhm uh um thanks thank you great good sure
    """
)
FOREIGN_WORDS = _set(
    """
    hola necesito plomero gracias por favor buenos dias tardes quiero una tengo casa agua
    electricista ayuda senor senora espanol habla usted como esta bonjour merci je suis vous
    plombier parlez francais oui besoin bitte danke ich brauche einen nicht sprechen deutsch
    guten klempner wasser und ist das hallo ciao buongiorno grazie idraulico sono ho bisogno
    obrigado preciso encanador voce nao sim ola dzien dobry prosze potrzebuje hydraulika
    para con muy bien pero mi le les une est pas mon der die zu haben que se el la los las
    un en de no ja
    """
)
ALSO_ENGLISH = _set(
    """
    no de la le die en un con mi das hallo para bien ja se ho est pas
    """
)
# Words that end a name or never start one; a lower-case transcript has no other border.
NOT_NAMES = _set(
    """
    a about above actually after again all already also always am an and another any anyone
    at away back bad because been being but by call called caller calling can can't come
    coming could customer day did do does doing don't done down either else every everything
    fine for from get getting give go going gonna good got had happy has have having he
    hello help her here hey hi him his home hoping house how i i'd i'll i'm i've if in
    interested into is isn't it it's its just keep know last leave let like little living
    locked looking lost make maybe me mean message moving my name need needing never new
    next nice no not nothing now number of off oh ok okay on one only or our out over phone
    please possible pretty problem question quite ready really renting right running say she
    should sick sir so some somebody someone something soon sorry speaking spelled spell
    standing still stuck sure talk talking tell thank thanks that that's the their them then
    there these they thing think this those tired to today tomorrow tonight too trying two
    unable under until up urgent us using very waiting want wanted wanting was we we'll
    we're well were what when where which who why will wish with wonder wondering working
    worried would wrong yeah yep yes yet you your yours address street avenue road kitchen
    sink toilet water power light apartment plumber electrician cleaner monday tuesday
    wednesday thursday friday saturday sunday morning afternoon evening night noon asap
    emergency correct exactly ma'am madam company business department account skip cancel
    change goodbye bye human person operator repeat zero three four five six seven eight
    nine ten double triple uh um erm er hmm huh mhm wait hold moment second minute leaking
    broken clogged blocked flooded dripping available free located around near between leak
    leaks pipe drain tap faucet outlet switch cleaning repair repairs plumbing electrical
    maintenance anything whatever whenever anytime definitely absolutely perfect great
    """
)
PARTICLES = _set(
    """
    de van von der den la le el da di du bin al mac mc o st st. san
    """
)
SPELL_FILLERS = _set(
    """
    it's its that's is and uh um the letter capital then s apostrophe
    """
)
DIGIT_FILLERS = _set(
    """
    uh um er erm and then dash hyphen minus space plus area code is it its it's so ok okay
    again dot point
    """
)
REQUEST_WORDS = _set(
    """
    i i'd i'm im we we'd need needs want would like to a an the some someone somebody have
    get book order schedule arrange for please can could you send me us help with looking
    look your my service services appointment visit technician professional guy man woman
    person it is there do does hello hi hey yes yeah uh um job work just come by over out
    plumber plumbers plumbing plumer plummer electrician electricians electrical electric
    cleaner cleaners cleaning clean maid handyman handy repair repairs repairman maintenance
    house home place apartment flat request ask asking about calling call
    """
)
CHATTER = _set(
    """
    yes no yeah yep nope okay ok thanks thank much so very bye goodbye great fine good right
    sure hm hmm mhm huh oh well and but that this what who how when where why not know don't
    be been again sorry say said hear day nice morning afternoon evening all any anything
    something
    """
)
