"""The phrases of scams, as a table that people can read and extend.

Expressions are written for plain words (`models.scam.words`): lower case, no punctuation or
apostrophes, number words as digits, single spaces. ` .. ` stands for up to five words of any
kind. A weight is how much the phrase alone speaks for a scam: 0.1 is heard in honest calls
every day, 0.5 now and then, 0.8 hardly ever. Weights are judged by hand and checked against
conversations from sources they were not written for.
"""

from __future__ import annotations

from enum import StrEnum

import msgspec


class Tactic(StrEnum):
    """How pressure is put on the victim. Phrases of one tactic do not add up fully."""

    AUTHORITY = "authority"
    THREAT = "threat"
    URGENCY = "urgency"
    SECRECY = "secrecy"
    ISOLATION = "isolation"
    PAYMENT = "payment"
    CREDENTIALS = "credentials"
    REMOTE_ACCESS = "remote_access"
    ALARM = "alarm"
    LURE = "lure"
    ROBOCALL = "robocall"
    RECIPROCITY = "reciprocity"


class Phrase(msgspec.Struct, frozen=True, array_like=True):
    """One row of the table. `scam_type` is "" where a phrase fits many kinds of scam."""

    name: str
    tactic: Tactic
    scam_type: str
    weight: float
    expression: str


_T = Tactic
PHRASES: tuple[Phrase, ...] = tuple(
    Phrase(*row)
    for row in (
        # government, tax and police
        ("ssn_suspended", _T.THREAT, "government", 0.85,
         r"(?:social security|ssn|benefits number) .. "
         r"(?:suspended|suspend|blocked|terminated|canceled|cancelled|frozen|revoked|misused)"),
        ("ssn_crime", _T.THREAT, "government", 0.75,
         r"social security .. "
         r"(?:fraud|fraudulent|criminal|suspicious|illegal|crimes?|investigation)"),
        ("legal_enforcement", _T.THREAT, "government", 0.7,
         r"(?:legal|law) enforcement (?:action|actions)|"
         r"legal (?:action|case|complaint) .. (?:your name|executed|filed against)"),
        ("arrest_warrant", _T.THREAT, "government", 0.75,
         r"arrest warrants?|warrants? .. (?:your name|your arrest|issued|under you)|"
         r"(?:you|you will|youll|you to) (?:be|get|getting) arrested|"
         r"(?:police|officers|marshals) .. (?:your door|arrest you|come to your)"),
        ("federal_crime", _T.THREAT, "government", 0.55,
         r"grand jury|magistrate judge|federal (?:crime|criminal|offense|charges|case)|"
         r"criminal (?:offense|charges|lawsuit|investigation)|money laundering|drug trafficking"),
        ("contraband", _T.THREAT, "government", 0.6,
         r"customs and border|border protection|contraband|drugs and cash|illegal (?:items|goods|"
         r"contents|substances|drugs)"),
        ("tax_debt", _T.THREAT, "government", 0.55,
         r"(?:back taxes|tax (?:debt|fraud|evasion|lien|penalty|penalties)|unpaid tax(?:es)?)|"
         r"owe .. (?:irs|taxes|internal revenue|tax office)"),
        ("tax_office", _T.AUTHORITY, "government", 0.4,
         r"irs|i r s|internal revenue(?: service)?|hmrc|revenue and customs|"
         r"tax (?:department|enforcement|office)"),
        ("badge_number", _T.AUTHORITY, "government", 0.45,
         r"badge (?:number|id)|(?:case|warrant) (?:number|id) .. (?:is|against)"),
        ("social_security", _T.AUTHORITY, "government", 0.35,
         r"social security|federal (?:reserve|trade|bureau)|department of (?:justice|treasury)|"
         r"supreme court|fbi|f b i"),
        ("claims_officer", _T.AUTHORITY, "government", 0.4,
         r"(?:this is|my name is|i am|im|speaking with|calling you) .. (?:officer|inspector|"
         r"sergeant|detective|federal agent|special agent)|"
         r"(?:social security|tax|treasury|customs|police) (?:administration|headquarters)|"
         r"(?:speak|talk|connected) .. officer|available officer"),
        ("legal_threat", _T.THREAT, "government", 0.3,
         r"(?:legal (?:action|proceedings|consequences|charges)|lawsuit|face prosecution|"
         r"(?:freeze|seize|seized) .. (?:account|accounts|assets|property))"),
        ("grant_money", _T.LURE, "government", 0.45,
         r"(?:government|federal|stimulus|relief) (?:grants?|stimulus|relief|funding|subsidy)|"
         r"(?:stimulus|covid relief|relief) (?:check|money|program|package)"),
        # banks and shops that were never called
        ("suspicious_activity", _T.ALARM, "impersonation", 0.45,
         r"(?:suspicious|unusual|unauthori[sz]ed|fraudulent) .. (?:activity|activities|access|"
         r"transactions?|charges?|purchases?|logins?|transfers?|payments?)"),
        ("account_in_danger", _T.ALARM, "impersonation", 0.4,
         r"your .. (?:account|accounts|card|money|funds|savings|identity|information) .. "
         r"(?:at risk|in danger|compromised|suspended|frozen|hacked|breached|deactivated)"),
        ("security_department", _T.AUTHORITY, "impersonation", 0.25,
         r"(?:fraud|fraud protection|security|investigations?|cyber crime|verification|"
         r"cancellation|billing) "
         r"(?:department|division|unit|team|bureau|prevention|desk)"),
        ("safe_account", _T.PAYMENT, "impersonation", 0.85,
         r"(?:safe|holding|safekeeping) account|"
         r"(?:transfer|move|moving) .. (?:money|funds|savings|it|them|balance) .. "
         r"(?:safe|safekeeping|federal|protected|government|locker)"),
        ("transfer_now", _T.PAYMENT, "impersonation", 0.6,
         r"(?:transfer|wire|deposit|send) .. (?:rm|dollars?|money|funds|fee|it) .. "
         r"(?:now|immediately|within|today|right away)|"
         r"(?:just|must|immediately) (?:transfer|deposit|wire|remit) .. to"),
        ("order_placed", _T.ALARM, "refund", 0.5,
         r"(?:order|purchase|iphone|macbook|laptop|airpods) .. (?:placed|made|ordered|charged|"
         r"shipped|attempted) .. your|your (?:amazon|paypal|ebay|apple) account|"
         r"your (?:recent |last )?purchase of|charging you|"
         r"your card .. (?:attached|linked) .. (?:amazon|paypal)|"
         r"(?:cancel|confirm|stop|authori[sz]e|approve|decline|dispute) this (?:order|transaction|"
         r"charge|payment|purchase)"),
        ("card_charged", _T.ALARM, "refund", 0.35,
         r"(?:amount|dollars?|purchase|you|account|card|it) .. (?:will be|has been|have been|"
         r"being|is|was|been|is being) (?:auto )?(?:charged|debited|deducted|billed|renewed)|"
         r"charged (?:from|to|on) your"),
        ("if_not_authorized", _T.ALARM, "refund", 0.5,
         r"if you (?:did not|didnt|do not|dont|have not|havent|are not) .. (?:authori[sz]e|"
         r"authori[sz]ed|approve|approved|make|made|place|placed|recogni[sz]e|order|ordered)|"
         r"if you not (?:approve|authori[sz]e)"),
        ("preauthorized_purchase", _T.ALARM, "refund", 0.6,
         r"pre ?authori[sz]ed .. (?:purchase|order|charge|payment|transaction)"),
        ("overpaid_refund", _T.PAYMENT, "refund", 0.55,
         r"(?:extra|too much|mistakenly|accidentally|by mistake|instead of) .. (?:money|refund|"
         r"refunded|zeros?|deposited|transferred|credited)|"
         r"(?:send|return|give) .. (?:extra|difference|remaining|rest) .. (?:money|amount|back)"),
        ("refund_offer", _T.LURE, "refund", 0.35,
         r"(?:process|claim|issue|initiate|receive|get) .. (?:your|the|a|this) .. (?:refund|"
         r"reimbursement)|refund (?:department|form|application|server|process)|"
         r"(?:eligible|entitled|owed|due) .. refund"),
        # secrets asked for
        ("one_time_code", _T.CREDENTIALS, "impersonation", 0.65,
         r"(?:read|give|giving|tell|share|send|provide|need|repeat|confirm|want) .. (?:otp|"
         r"o t p|tac|(?:tac|otp|1 time|verification|security|authentication|authori[sz]ation|login|"
         r"access|\d+ digit) (?:code|codes|password|passcode|pin)|6 digits?)"),
        ("code_just_sent", _T.CREDENTIALS, "impersonation", 0.5,
         r"(?:code|otp|tac|pin) .. (?:you just|you received|youll receive|you will receive|"
         r"you got|you get|sent to your|sent you|on your phone|texted)"),
        ("asks_ssn", _T.CREDENTIALS, "impersonation", 0.5,
         r"(?:give|tell|confirm|verify|provide|need|have|what is|whats|digits of|share|update) "
         r".. (?:your|full) .. (?:social security|social|ssn|ic number|medicare number)"),
        ("asks_card", _T.CREDENTIALS, "impersonation", 0.4,
         r"(?:give|read|tell|confirm|verify|provide|need|share|update|enter) .. your .. "
         r"(?:(?:card|credit card|debit card|account|bank account|routing) (?:number|numbers|"
         r"details|information|info)|cvv|bank (?:details|information|name|account)|"
         r"banking (?:details|information))"),
        ("asks_password", _T.CREDENTIALS, "impersonation", 0.5,
         r"(?:give|tell|share|provide|need|confirm|verify|enter) .. your .. (?:password|passcode|"
         r"pin|pin number|login|user id|online banking|credentials|maiden name)"),
        ("personal_details", _T.CREDENTIALS, "impersonation", 0.25,
         r"(?:give|provide|need|confirm|verify|share) .. (?:personal|your) (?:information|"
         r"details|identity|info)"),
        # technical support
        ("computer_infected", _T.ALARM, "tech_support", 0.55,
         r"(?:your|the|this) (?:\w+ ){0,2}"
         r"(?:computer|device|pc|laptop|windows|network|ip address) .. "
         r"(?:virus|viruses|infected|infection|malware|hacked|hackers|trojan|compromised|errors|"
         r"at risk|corrupted|infiltrated)|(?:virus|viruses|malware|hackers|errors|trojan) .. "
         r"your (?:computer|device|pc|system|network)"),
        ("remote_tool", _T.REMOTE_ACCESS, "tech_support", 0.75,
         r"team ?viewer|any ?desk|log ?me ?in|ultra ?viewer|supremo|alpemix|screen ?connect|"
         r"quick (?:assist|support)|rust ?desk|go ?to ?assist|support dot me|air ?droid|"
         r"show my pc"),
        ("remote_access", _T.REMOTE_ACCESS, "tech_support", 0.6,
         r"remote(?:ly)? (?:access|connection|control|session|desktop|connect|support)|"
         r"(?:connect|connected|access|control) .. (?:to|of|into) your (?:computer|screen|device|"
         r"pc|laptop|phone|system)|access your (?:computer|device|pc|system)|share your screen"),
        ("keyboard_walk", _T.REMOTE_ACCESS, "tech_support", 0.5,
         r"windows (?:key|button|logo)|event viewer|command prompt|run (?:box|window|command)|"
         r"white box|control key|start button|google chrome|internet explorer|"
         r"(?:type|write) .. (?:dot com|www|w w w|address bar|search bar)|"
         r"in front of (?:your|the) (?:computer|laptop|pc)|turn on your (?:computer|laptop|pc)"),
        ("install_this", _T.REMOTE_ACCESS, "tech_support", 0.35,
         r"(?:download|install) .. (?:app|application|software|program|tool|apk|file)|"
         r"open .. (?:play store|app store)"),
        ("big_brand_support", _T.AUTHORITY, "tech_support", 0.35,
         r"(?:microsoft|windows|apple|norton|mcafee|geek squad|amazon|paypal|icloud|google) .. "
         r"(?:support|security|department|technicians?|team|customer (?:service|care)|certified|"
         r"headquarters|center|representative)"),
        ("protection_renewal", _T.ALARM, "tech_support", 0.5,
         r"(?:antivirus|anti virus|norton|mcafee|geek squad|computer|security|protection) .. "
         r"(?:renew|renewed|renewal|expired|subscription)|auto renew\w*|"
         r"(?:invoice|order) number .. (?:email|received)"),
        # recorded messages
        ("press_to_act", _T.ROBOCALL, "robocall", 0.5,
         r"(?:press|pressing|dial) (?:the number )?\d (?:now )?(?:to|and|for|or|if) .. (?:speak|"
         r"talk|connect|connected|cancel|qualif\w+|officer|dispute|hold|claim|accept|operator|"
         r"agent|representative|decline|department|advisor|specialist|report|start|live)|"
         r"(?:cancel|stop|dispute|avail|accept|more information|details) .. press \d"),
        ("press_number", _T.ROBOCALL, "robocall", 0.35, r"press(?:ing)? (?:the number )?\d"),
        ("press_to_opt_out", _T.ROBOCALL, "robocall", 0.6,
         r"press \d .. (?:removed?|opt ?out|do not call|unsubscribe|not interested|taken off)|"
         r"do not call (?:list|registry)"),
        ("final_notice", _T.URGENCY, "robocall", 0.55,
         r"(?:final|last|2nd|second) (?:attempt|notice|courtesy call|courtesy|warning|reminder)|"
         r"close (?:out )?your (?:file|case)|intentional .. attempt"),
        ("recorded_message", _T.ROBOCALL, "robocall", 0.3,
         r"(?:automated|recorded|pre ?recorded|courtesy|important|urgent) (?:message|call|notice|"
         r"announcement)|(?:this|the) (?:call|message) is (?:to inform|to notify|to let you|"
         r"intended|regarding|from)"),
        ("tried_to_reach_you", _T.ROBOCALL, "robocall", 0.4,
         r"(?:been|was|were) trying to (?:reach|contact|get a hold of) you|"
         r"(?:toll free|call (?:us|me) back) (?:number|at|on)|all lines are (?:monitored|recorded)|"
         r"i repeat"),
        ("vehicle_warranty", _T.LURE, "warranty", 0.55,
         r"(?:your|the) .. (?:vehicle|vehicles|car|cars|auto|factory|manufacturers?) .. "
         r"warrant(?:y|ies)|extended .. warrant(?:y|ies)|"
         r"warranty .. (?:expired?|expiring|expire|renew|lapsed?|coverage|about to)"),
        ("lower_rates", _T.LURE, "loan", 0.5,
         r"(?:lower|lowering|reduce|reducing|reduction|zero|0) .. (?:interest rates?|interest|apr)|"
         r"(?:drop|drop down) .. interest|rate (?:reduction|expiration)|"
         r"credit card (?:debt|rate|rates|services|holder)|cardholder services"),
        ("loan_offer", _T.LURE, "loan", 0.4,
         r"student loans?|(?:loan|debt) (?:forgiveness|relief|consolidation|settlement)|"
         r"(?:business|personal) (?:loan|funding|line of credit)|unsecured debt|"
         r"your loan .. approved"),
        ("preapproved", _T.LURE, "robocall", 0.35,
         r"pre ?approved|pre ?qualified|(?:you|you may|you have been|you are|youre) (?:now )?"
         r"(?:qualify|qualified|eligible|approved) for|your (?:\w+ )?eligibility|"
         r"(?:been|was|were) (?:pre )?(?:qualified|preselected|shortlisted)"),
        ("utility_cutoff", _T.THREAT, "utility", 0.5,
         r"(?:electricity|electric|utility|power|services?|account|energy) .. (?:disconnected|"
         r"disconnection|termination|terminated)|disconnect\w* .. (?:service|today|minutes|"
         r"department|non ?payment)|due to non ?payment"),
        ("discount_offer", _T.LURE, "robocall", 0.25,
         r"\d+ (?:percent )?(?:off|discounts?) .. (?:bills?|services?|plan)|"
         r"limited time (?:offer|discount|promotion)|(?:special|exclusive) (?:promotion|discount)|"
         r"lower your .. bills?|solar (?:panels?|program|energy)"),
        ("medicare_offer", _T.LURE, "health", 0.45,
         r"medicare .. (?:card|benefits?|plan|kit|brace|eligible|coverage|advantage)|"
         r"(?:back|knee) brace|(?:genetic|dna|covid) .. (?:test|kit|kits)"),
        ("listing_offer", _T.LURE, "robocall", 0.45,
         r"google (?:business|listing|voice search|maps listing)|business listing"),
        # prizes, parcels, families, jobs, investments
        ("you_have_won", _T.LURE, "lottery", 0.6,
         r"(?:you|youve|you have|you are|youre) (?:\w+ )?(?:won|a winner|the winner|been selected|"
         r"been chosen)|your (?:phone |telephone |lucky )?number .. (?:won|selected|drawn)|"
         r"congratulations .. (?:won|selected|chosen|winner|prize)"),
        ("prize", _T.LURE, "lottery", 0.5,
         r"lottery|sweepstakes?|publishers clearing|jackpot|grand prize|free (?:cruise|vacation|"
         r"gift|trip)|(?:complimentary|all inclusive) (?:stay|vacation|trip|cruise)|"
         r"reward card|(?:claim|collect|receive) .. (?:prize|reward|winnings|gift|lottery)"),
        ("fee_before_prize", _T.PAYMENT, "lottery", 0.6,
         r"(?:processing|release|clearance|advance|customs|insurance|handling|activation|"
         r"upfront|security) (?:fee|fees|deposit|charge)|"
         r"pay .. (?:fee|fees|tax|taxes) .. (?:claim|release|receive|prize|before)"),
        ("parcel_held", _T.ALARM, "delivery", 0.5,
         r"(?:package|parcel|shipment) .. (?:seized|customs|intercepted|illegal|drugs|confiscated|"
         r"suspicious|contraband|red flags?)"),
        ("parcel_fee", _T.PAYMENT, "delivery", 0.5,
         r"(?:redelivery|customs|shipping|delivery) (?:fee|charge|duty)|"
         r"pay .. (?:redeliver|release .. (?:package|parcel))"),
        ("relative_in_trouble", _T.ALARM, "family_emergency", 0.6,
         r"(?:grandma|grandpa|grandmother|grandfather|grandson|granddaughter|nana|nephew|son|"
         r"daughter) .. (?:accident|jail|arrested|trouble|bail|lawyer|police)|"
         r"(?:im|i am|i was put|hes|he is|shes|she is) .. in jail|"
         r"(?:need|needs|make) (?:\w+ )?bail|bail (?:money|bond)|post bail"),
        ("registration_fee", _T.PAYMENT, "job", 0.3,
         r"(?:registration|training|starter kit) fees?"),
        ("lucrative_job", _T.LURE, "job", 0.45,
         r"work from home|part time job|(?:earn|earning|make|making) .. (?:a|per|each|every) "
         r"(?:day|week|month|hour)|easy money|quick money"),
        ("sure_profit", _T.LURE, "investment", 0.6,
         r"(?:guaranteed?|monthly|daily|high|double) .. (?:returns?|profits?|your money|"
         r"investment)|risk free|(?:trading|investment|forex) (?:platform|opportunity|program|"
         r"programme|scheme|bot|group)"),
        # how the money should travel
        ("gift_card_payment", _T.PAYMENT, "", 0.85,
         r"(?:buy|purchase|scratch|pick up|need you to get|pay (?:with|in|by|using|through)|"
         r"payment (?:with|in|by|through)) .. (?:gift|google play|itunes|steam|prepaid|ebay|"
         r"target|vanilla|apple) (?:gift )?cards?|"
         r"scratch .. (?:card|silver|off the|code)|(?:numbers?|code|codes) .. back of the cards?"),
        ("gift_card", _T.PAYMENT, "", 0.45,
         r"gift cards?|(?:google play|itunes|steam|prepaid debit) cards?|money ?pak|green ?dot"),
        ("crypto", _T.PAYMENT, "investment", 0.55,
         r"bit ?coins?|crypto ?\w*|ethereum|usdt|blockchain|digital wallet"),
        ("wire_money", _T.PAYMENT, "", 0.45,
         r"western union|money ?gram|wire (?:transfer|me|us|the|it|money)"),
        ("app_payment", _T.PAYMENT, "", 0.3, r"zelle|cash ?app|venmo"),
        ("cash_courier", _T.PAYMENT, "", 0.7,
         r"(?:courier|someone|agent|officer|driver) .. (?:pick up|collect|come get) .. (?:cash|"
         r"money|card|cards)|withdraw .. (?:cash|money|dollars|funds|savings)|cash .. (?:envelope|"
         r"shoe ?box|magazine)"),
        # cutting the victim off
        ("do_not_tell", _T.SECRECY, "", 0.75,
         r"(?:dont|do not|not to|never|cannot|cant) (?:tell|inform|discuss|mention|talk|speak|"
         r"contact|involve|share this) .. (?:anyone|anybody|bank|police|family|husband|wife|mom|"
         r"dad|parents|lawyer|someone|nobody|third party|teller|with)"),
        ("keep_secret", _T.SECRECY, "", 0.5,
         r"keep (?:this|it) .. (?:secret|private|confidential|quiet|between)|just between (?:us|"
         r"you and me)|gag order|strictly confidential|confidential matter"),
        ("do_not_hang_up", _T.ISOLATION, "", 0.6,
         r"(?:dont|do not|not to|without) (?:hang|hanging) up|"
         r"(?:dont|do not) (?:disconnect|end|drop|cut) .. (?:call|line|phone)"),
        ("stay_on_line", _T.ISOLATION, "", 0.2,
         r"(?:stay|keep|remain|be) .. on the (?:line|phone|call)|stay with me on"),
        # pressure
        ("favour_done", _T.RECIPROCITY, "", 0.15,
         r"as a (?:favou?r|courtesy|gesture|thank you)|doing you a favou?r|only trying to help|"
         r"after (?:all|everything) (?:i|we)(?:ve)? (?:\w+ )?(?:done|did)|"
         r"(?:i|we|ill|well)(?:ve)? (?:waived?|knock(?:ed)?) .. (?:fee|fees|off)"),
        ("must_act", _T.URGENCY, "", 0.5,
         r"(?:immediate|urgent|prompt) (?:action|attention|response|payment|assistance)|"
         r"(?:failure|fail|failing) to (?:respond|comply|pay|act|do)|"
         r"ignor(?:e|ing) .. (?:message|call|notice|matter)|before (?:it is|its) too late|"
         r"act (?:now|fast|quickly)|time sensitive"),
        ("hurry", _T.URGENCY, "", 0.15,
         r"immediately|right away|urgent|urgently|right now|as soon as possible|"
         r"(?:within|in|next) (?:the next )?\d+ (?:minutes|hours?)|expires? (?:today|soon)"),
    )
)  # fmt: skip


class Combination(msgspec.Struct, frozen=True, array_like=True):
    """Two tactics that together say more than their phrases do apart."""

    name: str
    first: frozenset[Tactic]
    second: frozenset[Tactic]
    weight: float


_BAIT = frozenset({_T.ALARM, _T.THREAT, _T.LURE})
COMBINATIONS: tuple[Combination, ...] = (
    Combination("recorded_pitch", frozenset({_T.ROBOCALL}), _BAIT | {_T.AUTHORITY}, 0.5),
    Combination("bait_then_payment", _BAIT | {_T.AUTHORITY}, frozenset({_T.PAYMENT}), 0.5),
    Combination("bait_then_secret", _BAIT | {_T.AUTHORITY}, frozenset({_T.CREDENTIALS}), 0.4),
    Combination(
        "bait_then_remote_access", _BAIT | {_T.AUTHORITY}, frozenset({_T.REMOTE_ACCESS}), 0.5
    ),
    Combination(
        "pressed_and_cut_off",
        frozenset({_T.SECRECY, _T.ISOLATION}),
        frozenset({_T.THREAT, _T.PAYMENT, _T.CREDENTIALS, _T.URGENCY, _T.ALARM}),
        0.5,
    ),
)
