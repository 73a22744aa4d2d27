"""The tables of the task `phrases`: German words with their English renderings.

Where several renderings are given, separated by "/", the first one is the usual one. Nouns,
verbs and adjectives become rarer down their tables, so that the last ones are seen a few
times only. A line that starts with spaces continues the one before. `phrases_words` says
what the columns mean and makes records of them.
"""

from __future__ import annotations

# --- Nouns --------------------------------------------------------------------------------
# German, gender, plural | classes | English (irregular plural after a colon)
# Gender w: a weak masculine. Plural "-": none. "!" before the English: plural in English.

PERSONS = """
mann m männer                | male              | man:men
frau f frauen                | female            | woman:women
mann m männer                | male spouse       | husband
frau f frauen                | female spouse     | wife:wives
freund m freunde             | male              | friend
lehrer m lehrer              | male job          | teacher
schwester f schwestern       | female kin        | sister
bruder m brüder              | male kin          | brother
freundin f freundinnen       | female            | friend
kind n kinder                | young             | child:children
mutter f mütter              | female kin unique | mother / mum
vater m väter                | male kin unique   | father / dad
lehrerin f lehrerinnen       | female job        | teacher
arzt m ärzte                 | male job          | doctor
nachbar w nachbarn           | male              | neighbour
sohn m söhne                 | male kin          | son
tochter f töchter            | female kin        | daughter
junge w jungen               | male young        | boy
nachbarin f nachbarinnen     | female            | neighbour
tante f tanten               | female kin        | aunt
student w studenten          | male job          | student
gast m gäste                 | male              | guest
polizist w polizisten        | male job          | police officer / policeman:policemen
leiter m leiter              | male              | manager
onkel m onkel                | male kin          | uncle
kollege w kollegen           | male              | colleague
kunde w kunden               | male              | customer / client
ärztin f ärztinnen           | female job        | doctor
verkäuferin f verkäuferinnen | female job        | shop assistant / saleswoman:saleswomen
dieb m diebe                 | male              | thief:thieves
sängerin f sängerinnen       | female job        | singer
zeuge w zeugen               | male              | witness:witnesses
koch m köche                 | male job          | cook / chef
bauer w bauern               | male job          | farmer
"""

SHORT = "mann freund kind arzt sohn gast koch dieb"
"""Persons whose genitive ends in -es."""

NAMES = "anna:f peter:m maria:f paul:m julia:f martin:m eva:f karl:m"

THINGS = """
buch n bücher            | text goods thing shelved gift        | book
brief m briefe           | text written awaited                 | letter
haus n häuser            | built sight                          | house
auto n autos             | vehicle costly fixable washable loan | car
schlüssel m schlüssel    | thing shelved                        | key
hund m hunde             | animal missed                        | dog
film m filme             | film idea liked                      | film / movie
frage f fragen           | puzzle idea asked                    | question
geld n -                 | lent                                 | money
apfel m äpfel            | food                                 | apple
kaffee m -               | drink                                | coffee
tür f türen              | openable paintable                   | door
fenster n fenster        | openable                             | window
tasche f taschen         | thing goods stolen load              | bag
zug m züge               | transport awaited                    | train
brot n -                 | food                                 | bread
zeitung f zeitungen      | text delivered                       | newspaper / paper
tisch m tische           | furniture surface                    | table
bild n bilder            | picture hung gift liked              | picture
katze f katzen           | animal missed                        | cat
fahrrad n fahrräder      | vehicle costly fixable stolen loan   | bicycle / bike
stadt f städte           | sight                                | city / town
wasser n -               | drink                                | water
geschichte f geschichten | idea story                           | story
lied n lieder            | song liked                           | song
zimmer n zimmer          | room paintable                       | room
kuchen m kuchen          | food                                 | cake
hemd n hemden            | clothes                              | shirt
bus m busse              | transport awaited                    | bus:buses
problem n probleme       | puzzle idea                          | problem
koffer m koffer          | load thing container                 | suitcase
tee m -                  | drink                                | tea
stuhl m stühle           | furniture surface                    | chair
mantel m mäntel          | clothes warmwear                     | coat
fernseher m fernseher    | appliance costly fixable             | television / TV
computer m computer      | appliance costly fixable             | computer
suppe f suppen           | food dish                            | soup
foto n fotos             | picture gift delivered hung          | photo
lampe f lampen           | appliance fixable hung               | lamp / light
milch f -                | drink                                | milk
prüfung f prüfungen      | event task                           | exam / test
kleid n kleider          | clothes                              | dress:dresses
brille f brillen         | thing worn                           | !glasses
konzert n konzerte       | event liked                          | concert
bett n betten            | furniture surface                    | bed
uhr f uhren              | worn gift stolen                     | watch:watches
sprache f sprachen       | learnable task idea                  | language
reise f reisen           | dream                                | trip / journey
fehler m fehler          | mistake                              | mistake / error
geschenk n geschenke     | thing delivered gift load            | present / gift
wein m -                 | drink goods                          | wine
birne f birnen           | food                                 | pear
birne f birnen           | fitting                              | light bulb / bulb
schloss n schlösser      | sight                                | castle
schloss n schlösser      | fixable fitting                      | lock
schrank m schränke       | furniture container                  | cupboard / wardrobe
hose f hosen             | clothes                              | !trousers / !pants
bank f bänke             | paintable surface                    | bench:benches
rechnung f rechnungen    | bill                                 | bill
karte f karten           | picture                              | map
karte f karten           | written                              | postcard / card
karte f karten           | ticket                               | ticket
decke f decken           | washable thing                       | blanket
decke f decken           | ceiling                              | ceiling
sitzung f sitzungen      | event                                | meeting
ball m bälle             | thing                                | ball
kirche f kirchen         | sight built                          | church:churches
leiter f leitern         | load thing                           | ladder
schuh m schuhe           | clothes                              | shoe
fisch m fische           | food dish                            | fish:fish
jacke f jacken           | clothes warmwear                     | jacket
ei n eier                | food dish                            | egg
flasche f flaschen       | openable thing                       | bottle
blume f blumen           | gift goods                           | flower
pferd n pferde           | animal loan                          | horse
brücke f brücken         | built sight                          | bridge
roman m romane           | text written                         | novel
messer n messer          | thing shelved                        | knife:knives
hochzeit f hochzeiten    | event dream                          | wedding
bericht m berichte       | text written awaited                 | report
vogel m vögel            | animal                               | bird
termin m termine         | date                                 | appointment
gedicht n gedichte       | text written learnable               | poem
turm m türme             | built sight                          | tower
schere f scheren         | thing shelved                        | !scissors
spiegel m spiegel        | hung costly                          | mirror
"""

# --- Verbs --------------------------------------------------------------------------------
# prefix·stem, third person, participle | complement | English | flags (see Verb)

PERSON_VERBS = """
kaufen kauft gekauft               | acc goods food costly clothes furniture ticket | buy     | pb
lesen liest gelesen                | acc text                    | read                       | pb
gehen geht gegangen                | dir                         | go / walk                  | s
suchen sucht gesucht               | acc thing animal worn       | look for / search for      | b
arbeiten arbeitet gearbeitet       |                             | work                       | pm
an·rufen ruft angerufen            | acc person                  | call / phone / ring +up
helfen hilft geholfen              | dat person                  | help                       | p
geben gibt gegeben                 | dat acc gift thing lent delivered | give ~to             | b
sehen sieht gesehen                | acc person animal sight     | see                        | tp
finden findet gefunden             | acc thing animal worn       | find                       | pb
fahren fährt gefahren              | dir                         | go / drive / travel        | sv
warten wartet gewartet             | auf acc person awaited      | wait for                   | p
schreiben schreibt geschrieben     | acc written                 | write                      | b
essen isst gegessen                | acc food                    | eat / have                 | p
trinken trinkt getrunken           | acc drink                   | drink                      | p
sprechen spricht gesprochen | mit dat person | talk to / speak to / speak with | p
wohnen wohnt gewohnt               | loc                         | live
besuchen besucht besucht           | acc person sight            | visit                      | b
auf·stehen steht aufgestanden      |                             | get up                     | s
schlafen schläft geschlafen        |                             | sleep                      | p
verstehen versteht verstanden      | acc idea                    | understand                 | t
bringen bringt gebracht            | dat acc delivered drink food | bring ~to
kennen kennt gekannt               | acc person sight            | know                       | t
öffnen öffnet geöffnet             | acc openable                | open                       | b
verlieren verliert verloren        | acc thing                   | lose                       | p
treffen trifft getroffen           | acc person                  | meet                       | p
kommen kommt gekommen              | dir                         | come                       | s
zeigen zeigt gezeigt               | dat acc picture text room   | show ~to
spielen spielt gespielt            |                             | play                       | p
lernen lernt gelernt               | acc learnable               | learn / study              | m
ab·holen holt abgeholt             | acc person                  | pick +up / collect         | pb
vergessen vergisst vergessen       | acc thing date worn         | forget
laufen läuft gelaufen              | dir                         | run / walk                 | s
ein·laden lädt eingeladen          | acc person                  | invite                     | b
reparieren repariert repariert     | acc fixable                 | repair / fix               | pb
hören hört gehört                  | acc song person             | hear                       | t
denken denkt gedacht               | an acc person event dream   | think about / think of
freuen freut gefreut               | auf acc event dream         | look forward to            | rt
an·fangen fängt angefangen         | mit dat task                | start / begin
bleiben bleibt geblieben           | loc                         | stay / remain              | s
an·ziehen zieht angezogen          | acc clothes                 | put +on
kochen kocht gekocht               | acc dish                    | cook / make                | pb
ein·kaufen kauft eingekauft        |                             | go shopping / do the shopping | p
erzählen erzählt erzählt           | dat acc story               | tell ~to
tragen trägt getragen              | acc load                    | carry                      | b
tragen trägt getragen              | acc clothes worn            | wear
bezahlen bezahlt bezahlt           | acc bill                    | pay                        | b
zu·machen macht zugemacht          | acc openable                | close / shut
an·schalten schaltet angeschaltet  | acc appliance               | turn +on / switch +on
aus·schalten schaltet ausgeschaltet | acc appliance              | turn +off / switch +off
waschen wäscht gewaschen           | acc washable clothes        | wash                       | b
erinnern erinnert erinnert         | an acc person event dream   | remember                   | rt
interessieren interessiert interessiert | für acc learnable text | be interested in           | rt
schenken schenkt geschenkt         | dat acc gift                | give ~to
leihen leiht geliehen              | dat acc lent loan text      | lend ~to
leihen leiht geliehen              | acc lent loan               | borrow                     | R
an·sehen sieht angesehen           | acc film                    | watch / see                | R
an·sehen sieht angesehen           | acc picture                 | look at                    | R
liegen liegt gelegen               | on                          | lie
singen singt gesungen              | acc song                    | sing                       | pmb
stellen stellt gestellt            | acc furniture load onto     | put / place
verkaufen verkauft verkauft        | acc costly goods built      | sell                       | b
zu·hören hört zugehört             | dat person                  | listen to
um·ziehen zieht umgezogen          |                             | move / move house          | s
um·ziehen zieht umgezogen          |                             | get changed / change       | r
kümmern kümmert gekümmert          | um acc person animal        | look after / take care of  | r
danken dankt gedankt               | dat person                  | thank
lösen löst gelöst                  | acc puzzle                  | solve                      | b
fliegen fliegt geflogen            | far                         | fly                        | s
auf·räumen räumt aufgeräumt        | acc room                    | tidy +up / clean +up       | b
schicken schickt geschickt         | dat acc delivered text      | send ~to
mit·bringen bringt mitgebracht     | acc gift drink food         | bring / bring along
beeilen beeilt beeilt              |                             | hurry / hurry up           | r
erklären erklärt erklärt           | dat acc puzzle idea         | explain >to
streichen streicht gestrichen      | acc paintable ceiling       | paint                      | b
aus·tauschen tauscht ausgetauscht  | acc fitting                 | replace / change           | b
stehlen stiehlt gestohlen          | dat acc stolen lent         | steal >from                | b
ärgern ärgert geärgert             | über acc mistake bill       | be annoyed about           | r
vor·lesen liest vorgelesen         | dat acc text story          | read ~to
weg·werfen wirft weggeworfen       | acc thing text              | throw +away                | b
kennen·lernen lernt kennengelernt  | acc person                  | meet / get to know         | p
träumen träumt geträumt            | von dat dream person        | dream of / dream about
an·probieren probiert anprobiert   | acc clothes                 | try +on
füttern füttert gefüttert          | acc animal                  | feed                       | b
vermissen vermisst vermisst        | acc person missed           | miss                       | t
zurück·geben gibt zurückgegeben    | dat acc text lent loan      | return >to / give back >to
unterhalten unterhält unterhalten  | mit dat person              | chat with / talk to        | rp
"""

THING_VERBS = {
    "event": """
an·fangen fängt angefangen   |              | start / begin  |
statt·finden findet stattgefunden |         | take place     | p
""",
    "transport": """
ab·fahren fährt abgefahren   |              | leave / depart | s
an·kommen kommt angekommen   |              | arrive         | s
halten hält gehalten         |              | stop           | p
""",
    "appliance": """
funktionieren funktioniert funktioniert |   | work           | t
""",
    "liked sight": """
gefallen gefällt gefallen    | dat person   | like           | tk
""",
    "food dish": """
schmecken schmeckt geschmeckt | dat person  | like           | tk
""",
    "kin": """
fehlen fehlt gefehlt         | dat person   | miss           | tk
""",
    "costly loan": """
gehören gehört gehört        | dat person   | belong to      | t
""",
    "shelved": """
liegen liegt gelegen         | on           | be / lie       | t
""",
    "hung": """
hängen hängt gehangen        | wall         | hang / be      | t
""",
}

FIRST_PERSONS = {"wissen": "weiß"}
SECOND_PERSONS = {"hält": "hältst", "unterhält": "unterhältst", "weiß": "weißt"}
"""Forms of the singular that the rules do not give."""

# --- English irregular forms ----------------------------------------------------------------

IRREGULAR = """
begin began begun, bring brought brought, buy bought bought, come came come, do did done, drink
drank drunk, drive drove driven, eat ate eaten, feed fed fed, find found found, fly flew flown,
forget forgot forgotten, get got got, give gave given, go went gone, hang hung hung, have had
had, hear heard heard, know knew known, leave left left, lend lent lent, lie lay lain, lose lost
lost, make made made, meet met met, pay paid paid, put put put, read read read, ring rang rung,
run ran run, say said said, see saw seen, sell sold sold, send sent sent, show showed shown,
shut shut shut, sing sang sung, sleep slept slept, speak spoke spoken, steal stole stolen, take
took taken, tell told told, think thought thought, throw threw thrown, understand understood
understood, wear wore worn, write wrote written
"""

DOUBLED = "begin chat forget get plan put run shut stop travel"
"""English verbs that double their last letter before -ing and -ed."""

# --- Adjectives -----------------------------------------------------------------------------
# German (stem) comparative | classes | English

ADJECTIVES = """
neu neuer                  | goods costly clothes text appliance vehicle furniture fixable | new
alt älter                  | grown goods costly clothes built furniture animal sight | old
groß größer                | built room furniture load animal surface sight | big / large
klein kleiner              | young built room furniture load animal thing | small / little
gut besser                 | text food drink film job                  | good
schön schöner              | clothes picture song sight gift           | beautiful / nice / lovely
jung jünger                | grown                                     | young
rot röter                  | clothes vehicle thing                     | red
teuer:teur teurer          | costly clothes worn                       | expensive
interessant interessanter  | text film story                           | interesting
schwer schwerer            | load                                      | heavy
schwer schwerer            | puzzle task                               | difficult / hard
nett netter                | person                                    | nice / kind
wichtig wichtiger          | date delivered asked awaited              | important
lang länger                | text film story                           | long
kalt kälter                | drink food room                           | cold
leicht leichter            | load                                      | light
leicht leichter            | puzzle task                               | easy / simple
warm wärmer                | warmwear room                             | warm
schnell schneller          | vehicle transport                         | fast / quick
freundlich freundlicher    | person                                    | friendly
berühmt berühmter          | sight job                                 | famous
billig billiger            | costly clothes worn                       | cheap
reich reicher              | grown                                     | rich / wealthy
frisch frischer            | food                                      | fresh
langweilig langweiliger    | text film event                           | boring / dull
blau blauer                | clothes vehicle thing                     | blue
fleißig fleißiger          | grown                                     | hard-working / diligent
schwarz schwärzer          | clothes animal vehicle                    | black
seltsam seltsamer          | story idea dream                          | strange / odd
"""

STATES = """
müde | tired
krank | ill / sick
glücklich | happy
traurig | sad
hungrig | hungry
zu hause | at home
allein | alone
fertig | ready / done
"""
"""What a person is for a while; never before a noun here."""

COMPARATIVES = (
    "good:better young:younger red:redder heavy:heavier hard:harder nice:nicer kind:kinder "
    "new:newer old:older big:bigger large:larger small:smaller long:longer cold:colder "
    "cheap:cheaper easy:easier simple:simpler light:lighter warm:warmer friendly:friendlier "
    "blue:bluer black:blacker fresh:fresher fast:faster quick:quicker rich:richer hot:hotter "
    "wealthy:wealthier strange:stranger odd:odder lovely:lovelier dull:duller little:smaller"
)

# --- Adverbs, times and places ------------------------------------------------------------
# German | English. {day}, {month}, {clock}, {ago}, {span}: filled in when drawn.

TIMES = {
    "past": """
gestern | yesterday
letzte woche | last week
gestern abend | last night / yesterday evening
vor {ago} | {ago} ago
am {day} | on {day} / last {day}
heute morgen | this morning
{clock} | {clock}
letztes jahr | last year
vorgestern | the day before yesterday / two days ago
im {month} | in {month} / last {month}
""",
    "future": """
morgen | tomorrow
heute abend | tonight / this evening
nächste woche | next week
am {day} | on {day} / next {day}
bald | soon
{clock} | {clock}
in {ago} | in {ago}
morgen früh | tomorrow morning
später | later
übermorgen | the day after tomorrow / in two days
im {month} | in {month} / next {month}
nächstes jahr | next year
""",
    "habit": """
jeden tag | every day
am wochenende | at the weekend / at weekends / on weekends
jeden morgen | every morning / each morning
am abend | in the evening / in the evenings
{day}s | on {day}s / every {day}
im sommer | in summer / in the summer
zweimal in der woche | twice a week
einmal im monat | once a month
im winter | in winter / in the winter
""",
    "now": """
jetzt | now
gerade | right now / at the moment
im moment | at the moment / right now
""",
    "since": """
seit {ago} | for {ago}
seit {day} | since {day}
seit letztem jahr | since last year
schon lange | for a long time
seit gestern | since yesterday
""",
}

UNITS = """
tagen | day
wochen | week
jahren | year
monaten | month
stunden | hour
minuten | minute
"""

DAYS = """
montag | Monday
samstag | Saturday
sonntag | Sunday
freitag | Friday
dienstag | Tuesday
mittwoch | Wednesday
donnerstag | Thursday
"""

MONTHS = """
mai | May
juni | June
august | August
januar | January
dezember | December
märz | March
oktober | October
"""

CLOCKS = """
um {hour} uhr | at {hour} o'clock / at {hour}
um halb {next} | at half past {hour} / at {hour} thirty
um viertel nach {hour} | at a quarter past {hour} / at {hour} fifteen
um viertel vor {next} | at a quarter to {next} / at {hour} forty-five
"""

FREQUENCIES = """
oft | often
immer | always
manchmal | sometimes
nie | never
meistens | usually / mostly
selten | rarely / seldom
"""

COMPLETIONS = """
schon | already
gerade | just
endlich | finally
"""

MOODS = """
vielleicht | maybe / perhaps
leider | unfortunately, / sadly,
wahrscheinlich | probably
natürlich | of course / naturally,
hoffentlich | hopefully
"""

MANNERS = """
gut | well
allein | alone
laut | loudly
schnell | quickly / fast
"""

VEHICLES = """
mit dem zug | by train / on the train
mit dem auto | by car
mit dem bus | by bus / on the bus
mit dem fahrrad | by bicycle / by bike
"""

# where one is | where one goes | English of the first | English of the second
PLACES = """
im garten        | in den garten   | in the garden               | into the garden / to the garden
zu hause         | nach hause      | at home                     | home
in der stadt     | in die stadt    | in town / in the city       | into town / to the city
in der schule    | in die schule   | at school / at the school   | to school
im park          | in den park     | in the park                 | to the park
in der küche     | in die küche    | in the kitchen              | into the kitchen / to the kitchen
im büro          | ins büro        | in the office / at the office | to the office
am bahnhof       | zum bahnhof     | at the station              | to the station
auf dem markt    | auf den markt   | at the market               | to the market
am strand        | an den strand   | on the beach / at the beach | to the beach
im krankenhaus   | ins krankenhaus | in hospital / in the hospital | to hospital / to the hospital
im kino          | ins kino        | at the cinema / at the movies | to the cinema / to the movies
am see           | an den see      | at the lake / by the lake   | to the lake
an der see       | an die see      | by the sea / at the seaside | to the sea / to the seaside
in den bergen    | in die berge    | in the mountains            | to the mountains
im wald          | in den wald     | in the forest / in the woods | into the forest / into the woods
auf der bank     | zur bank        | on the bench                | to the bank
auf dem land     | aufs land       | in the country              | to the country
bei meiner tante | zu meiner tante | at my aunt's                | to my aunt's
"""

FAR_PLACES = """
in berlin      | nach berlin     | in Berlin      | to Berlin
in england     | nach england    | in England     | to England
in italien     | nach italien    | in Italy       | to Italy
in wien        | nach wien       | in Vienna      | to Vienna
in der schweiz | in die schweiz  | in Switzerland | to Switzerland
in münchen     | nach münchen    | in Munich      | to Munich
in frankreich  | nach frankreich | in France      | to France
in der türkei  | in die türkei   | in Turkey      | to Turkey
"""

# preposition | classes of what it goes with | English of place | English of direction
RELATIONS = """
auf | surface | on | on / onto
in | container | in | in / into
unter | surface | under | under
neben | furniture | next to / beside | next to / beside
hinter | furniture | behind | behind
vor | furniture | in front of | in front of
"""

WALLS = """
an der wand | on the wall
an der decke | from the ceiling / on the ceiling
über dem tisch | above the table / over the table
"""

# --- Modal verbs ---------------------------------------------------------------------------
# infinitive, then ich/er du wir of the present, likewise of the past
# | English: present | present negated | past | past negated, as verb groups (see english.py)

MODALS = """
können kann kannst können konnte konntest konnten
  | can V:base / be:present able to V:base | can V:base / be:present able to V:base
  | could V:base / be:past able to V:base  | could V:base / be:past able to V:base
müssen muss musst müssen musste musstest mussten
  | have:present to V:base / must V:base / need:present to V:base
  | have:present to V:base / need:present to V:base
  | have:past to V:base | have:past to V:base
wollen will willst wollen wollte wolltest wollten
  | want:present to V:base | want:present to V:base | want:past to V:base | want:past to V:base
sollen soll sollst sollen sollte solltest sollten
  | be:present supposed to V:base / should V:base | be:present supposed to V:base / should V:base
  | be:past supposed to V:base | be:past supposed to V:base
möchten möchte möchtest möchten wollte wolltest wollten
  | would like to V:base / want:present to V:base | want:present to V:base
  | want:past to V:base | want:past to V:base
dürfen darf darfst dürfen durfte durftest durften
  | be:present allowed to V:base / may V:base / can V:base
  | be:present allowed to V:base / must V:base / may V:base
  | be:past allowed to V:base | be:past allowed to V:base
"""

# --- Words that join clauses ------------------------------------------------------------------

# German | English | when the main and the subordinate clause are (see phrases.TENSES)
EXTENSIONS = """
weil | because / since / as
obwohl | although / even though / though
da | as / since / because
"""

SUBORDINATORS = """
weil | because / since / as | any
wenn | if / when | condition
obwohl | although / even though / though | any
als | when | past
bevor | before | past
nachdem | after | anterior
da | as / since / because | any
"""

# German | English with its comma | where the German verb stands after it
CONNECTORS = """
und | and / , and | main
aber | , but | main
deshalb | , so / , which is why | question
denn | because / as | main
und dann | and then / , and then | question
"""

# as verbs above, with a last column: dass, ob, w (wo, wann, warum)
ATTITUDES = """
glauben glaubt geglaubt       |  | think / believe             | t  | dass
wissen weiß gewusst           |  | know                        | t  | ob w
sagen sagt gesagt             |  | say                         | t  | dass
wissen weiß gewusst           |  | know                        | t  | dass
fragen fragt gefragt          |  | wonder                      | rt | ob w
hoffen hofft gehofft          |  | hope                        | t  | dass
fragen fragt gefragt          |  | ask                         | t  | ob w
freuen freut gefreut          |  | be glad / be happy / be pleased | rt | dass
hören hört gehört             |  | hear                        | t  | dass
meinen meint gemeint          |  | think                       | t  | dass
vergessen vergisst vergessen  |  | forget                      | t  | dass w
merken merkt gemerkt          |  | notice / realize            | t  | dass
"""

# as verbs above; the English says which form follows
CONTROL = """
versuchen versucht versucht          |  | try to
an·fangen fängt angefangen           |  | start to / begin to / start -ing
vergessen vergisst vergessen         |  | forget to
hoffen hofft gehofft                 |  | hope to                           | t
vor·haben hat vorgehabt              |  | plan to / intend to               | t
auf·hören hört aufgehört             |  | stop -ing
beschließen beschließt beschlossen   |  | decide to
versprechen verspricht versprochen   |  | promise to
weigern weigert geweigert            |  | refuse to                         | rt
"""

# German | English | form that follows
PURPOSES = """
um | to / in order to | base
ohne | without | ing
statt | instead of | ing
"""

INTERROGATIVES = """
wann | when
warum | why
wo | where
"""

# es ist ..., dass
IMPRESSIONS = """
schade | a pity / a shame
möglich | possible
schön | nice / great
klar | clear / obvious
seltsam | strange / odd
"""

# es ist ..., zu
TASKS = """
schwer | hard / difficult
wichtig | important
leicht | easy
schön | nice / lovely
verboten | forbidden / not allowed
gefährlich | dangerous
"""

DEGREES = """
sehr | very / really
zu | too
ziemlich | quite / rather / pretty
nicht | not
"""

GERN = "like:present to V:base / like:present V:ing / enjoy:present V:ing"
"""What "gern" makes of a verb in the present."""
