"""Kinds of events of the task `reports`: accidents, crimes, and what comes of them.

How they are read is said at `reports_grammar.kind`.
"""

from __future__ import annotations

from seqrl.data.reports_facts import AT_ANY_TIME, AT_WORK, Name, Number, Person, Place, Rows, Year
from seqrl.data.reports_grammar import kind
from seqrl.data.reports_lexicon import STORMS

ACCIDENT = kind(
    """
scenes:
The road between {place} and {other} has [long|always] been feared by drivers.
Traffic around {place} is always heavy on a {day}.
Thick fog lay over {place} {when}.
In {month}, {earlier} people died on the [coast road|old road] to {place}.
openings:
A {vehicle} {crash} near {place} {when}.
A {vehicle} with {aboard} people on board {crash} [just outside|near] {place} {when}.
[Police and firefighters|Ambulances] were called to a road near {place} {when} after a {vehicle}
 {crash}.
A {vehicle} on its way [from|to] {other} {crash} near {place} {when}.
asides:
The road [was|remained] closed for {hours} hours.
The {vehicle} was taking {riders} home.
"[I heard a loud bang|There was glass everywhere|Everybody was screaming]," said a
 [farmer|neighbour|woman] who lives nearby.
The speed limit there was lowered in {month}.
Experts are now examining the brakes[| and the tyres].
The company that owns the {vehicle} [declined to comment|promised to help the police].
outcome:
details:
[According to {police},|{police} said that] {dead} [passengers|people]
 [were killed|died|lost their lives][| at the scene].
headlines:
{Dead} [die|killed|dead] in {Vehicle} [crash|accident] near {Place}
{Vehicle} [crash|accident] kills {Dead} near {Place}
{Vehicle} [crash|accident] near {Place} leaves {Dead} dead
{Dead} [die|killed] as {Vehicle} {Crash} near {Place}
{Place}: {Dead} [die|killed] as {Vehicle} {Crash}
asides:
Another {injured} people were taken to hospital.
The driver, {driver}, [escaped unhurt|is being questioned].
outcome:
details:
[Nobody was killed|No lives were lost], but {injured} [passengers|people]
 [were injured|were taken to hospital|were treated for cuts and broken bones].
headlines:
{Injured} [hurt|injured] in {Vehicle} [crash|accident] near {Place}
{Vehicle} [crash|accident] near {Place} [injures|hurts] {Injured}
{Injured} [hurt|injured] as {Vehicle} {Crash} near {Place}
{Place}: {Injured} [hurt|injured] as {Vehicle} {Crash}
{Vehicle} {Crash} near {Place}, injuring {Injured}
asides:
{earlier} people had lost their lives at the same bend in {month}.
The driver, {driver}, was able to go home [in the evening|after a night in hospital].
outcome:
details:
The driver, {driver}, [died|was killed][| at the wheel], but [no passenger|nobody else on board]
 was seriously hurt.
headlines:
{Vehicle} driver [dies|killed] in [crash|accident] near {Place}
{Vehicle} [crash|accident] kills driver near {Place}
Driver [dies|killed] as {Vehicle} {Crash} near {Place}
{Place}: driver [dies|killed] as {Vehicle} {Crash}
[Crash|Accident] near {Place} kills {Vehicle} driver
asides:
A [doctor|nurse] who happened to pass by looked after {injured} passengers with bruises.
A wreath was laid at the [roadside|depot] by [colleagues|friends].
""",
    AT_ANY_TIME,
    Place("place", "town village port city"),
    Place("other", "town city", main=False),
    Person("driver"),
    Number("dead", 2, 12),
    Number("injured", 3, 29),
    Number("aboard", 45, 60),
    Number("hours", 2, 9),
    Number("earlier", 2, 6),
    Rows(
        "vehicle riders",
        """
bus ; office workers
coach > [coach|bus] ; pensioners
school bus ; pupils
tour bus > [tour bus|coach] ; holidaymakers
double-decker > [double-decker|bus] ; football fans
coach > [coach|bus] ; a choir
""",
    ),
    Rows(
        "crash",
        """
left the road > leaves road
overturned > overturns
hit a tree > hits tree
collided with a lorry > [collides with|hits] lorry
skidded on ice > skids on ice
plunged into a ditch > [plunges|falls] into ditch
hit a bridge > hits bridge
rolled down a slope > rolls down slope
""",
    ),
)

FIRE = kind(
    """
scenes:
In {place} there is {building.a} that was built in {year}.
It had been a [quiet|warm|dry] day in {place}.
In {month}, fire inspectors had [visited|found no fault with] {building.a} in {place}.
openings:
A fire broke out in {building.a} in {place} {when}.
Smoke was seen [rising from|above] {building.a} in {place} {when}.
{crew} firefighters [fought|battled] a [large |]fire in {building.a} in {place} {when}.
asides:
The damage is put at {damage} euros.
[The flames could be seen from miles away|A strong wind fanned the flames].
It took {hours} hours to put out the fire.
The owner, {owner}, [had bought|had renovated] the {building} {earlier} years ago.
"[We could feel the heat|The sky was red|It all went so fast]," said a neighbour.
outcome:
details:
[By the next morning|In the end|Within hours], [little was left of the building
 |only the outer walls were still standing|the building had burned to the ground].
headlines:
Fire [destroys|guts] {Building} {Inplace}
{Place} {Building} [destroyed|gutted] by fire
{Place} {Building} burns to ground
{Building} {Inplace} [destroyed|gutted] by fire
{Place}: fire [destroys|guts] {Building}
asides:
[Nobody|No one] was hurt.
[A faulty heater|An old cable|A burning candle] is thought to have been the cause.
outcome:
details:
[The bodies of {dead} people were found on the upper floor
 |{dead} people [lost their lives|did not get out in time and died]
 |For {dead} people who were asleep upstairs, help came too late].
headlines:
{Dead} [die|killed|dead] in {Place} {Building} fire
{Building} fire kills {Dead} {Inplace}
{Building} fire leaves {Dead} dead {Inplace}
{Dead} [die|killed] in {Building} fire {Inplace}
Fire in {Place} {Building} kills {Dead}
{Place}: {Dead} [die|killed] in {Building} fire
asides:
Another {rescued} people were brought to safety with ladders.
The cause of the fire is [not yet known|still unclear].
outcome:
details:
[On the following day|The next morning|Hours later], police [detained|arrested] a {suspect},
 who is [said to have started|suspected of having started|believed to have set] the fire.
headlines:
{Suspect} [arrested|held] over {Place} {Building} fire
Police [arrest|hold] {Suspect} over {Building} fire {Inplace}
{Suspect} [arrested|held] after {Building} fire {Inplace}
{Building} fire {Inplace}: {Suspect} [arrested|held]
asides:
[Nobody|No one] was hurt.
{rescued} people [had been able to leave|left] the building in time.
""",
    AT_ANY_TIME,
    Place("place", "town village port city capital"),
    Person("owner"),
    Number("dead", 2, 9),
    Number("crew", 25, 90, 5),
    Number("hours", 3, 14),
    Number("earlier", 2, 12),
    Number("rescued", 11, 29),
    Number("damage", 200_000, 900_000, 100_000),
    Year("year", 1890, 1970, 10),
    Rows(
        "building",
        """
hotel
restaurant > [restaurant|inn]
hostel
bakery > [bakery|baker's shop]
furniture shop > [furniture shop|furniture store]
guest house > [guest house|hotel]
nursing home > [nursing home|care home]
brewery
""",
    ),
    Rows(
        "suspect",
        """
former employee > [former employee|ex-employee]
teenager
neighbour
volunteer firefighter > firefighter
night watchman > watchman
""",
    ),
)

STORM = kind(
    """
scenes:
The fishing season had only just begun in {place}.
In {month}, [meteorologists|scientists] warned of [more|stronger] storms on this coast.
After a [mild|calm] start to the week, the weather around {place} changed {when}.
The [beach|market square] in {place} was [deserted|empty] {when}.
openings:
Storm {storm} [reached|hit|swept over] {place} {when}[| with gusts of {wind} kilometres an hour].
Storm {storm} [brought heavy rain to|raged over] {place} {when}.
Winds of up to {wind} kilometres an hour were measured in {place} {when}
 as storm {storm} moved in from the sea.
asides:
Ferries [were cancelled|stayed in port] and schools remained closed.
It was the [worst|strongest] storm there for {years} years.
More than {trees} trees were [uprooted|blown down].
The mayor, {mayor}, asked people to stay at home.
[A crane|The roof of a sports hall|A church tower] was damaged.
"[I have never seen such waves|The whole house shook|We were very lucky]," said a
 [fisherman|shopkeeper].
Forecasters expect calmer weather [soon|in the coming days].
outcome:
details:
[Falling trees|Flying debris|High waves] [killed|cost the lives of] {dead} people.
headlines:
Storm {Storm} kills {Dead} {Inplace}
{Dead} [die|killed] as storm {Storm} hits {Place}
Storm {Storm} leaves {Dead} dead {Inplace}
{Place}: {Dead} [die|killed] in storm {Storm}
{Dead} dead after storm {Storm} hits {Place}
outcome:
details:
[Power lines came down|A substation was flooded], and {homes} [households|homes]
 [were left in the dark|had no electricity].
headlines:
Storm {Storm} leaves {Homes} homes without power {Inplace}
{Homes} homes [lose|without] power as storm {Storm} hits {Place}
Storm {Storm} cuts power to {Homes} {Place} homes
{Homes} homes [without|lose] power after storm {Storm} {Inplace}
outcome:
details:
[The river burst its banks|The sea broke through a dyke], and {fled} people had to
 [leave their homes|be brought to safety|spend the night in a gymnasium].
headlines:
{Fled} [flee|evacuated] as storm {Storm} floods {Place}
Storm {Storm}: {Fled} [flee|evacuated] {Inplace}
Floods force {Fled} from homes {Inplace}
Storm {Storm} floods {Place}, {Fled} [flee|evacuated]
Floods after storm {Storm}: {Fled} [flee|evacuated] {Inplace}
""",
    AT_ANY_TIME,
    Place("place", "port"),
    Person("mayor"),
    Name("storm", STORMS),
    Number("dead", 2, 9),
    Number("wind", 110, 180, 10),
    Number("years", 11, 40),
    Number("trees", 200, 900, 100),
    Number("homes", 2_000, 40_000, 2_000),
    Number("fled", 100, 900, 100),
)

THEFT = kind(
    """
scenes:
In {place} there is {site.a} [with an old alarm system|that opened in {year}].
{day} is usually a quiet day in the centre of {place}.
For years, {site.a} in {place} had done without a [watchman|strong lock].
openings:
Burglars broke into {site.a} in {place} {when}.
[Unknown persons|Masked men] forced their way into {site.a} in {place} {when}.
A window of {site.a} in {place} was smashed {when}.
[An employee|A cleaner] found the door of {site.a} in {place} broken open {when}.
asides:
A reward of {reward} euros has been offered.
The {site} had been burgled [once before|before], in {month}.
The manager, {owner}, said {owner.he} was [shocked|very sad].
A [dark|white|grey] van had been seen in the street.
[Police are asking witnesses to come forward|Nobody seems to have heard anything].
The alarm went off, but the first officers arrived {minutes} minutes later.
outcome:
details:
[The intruders|The thieves] [got away with|escaped with|made off with] {loot}
 [| worth {value} euros].
headlines:
Thieves [steal|take] {Loot} from {Place} {Site}
{Loot} stolen from {Site} {Inplace}
Burglars [steal|take] {Loot} from {Site} {Inplace}
{Place}: thieves [steal|take] {Loot} from {Site}
{Place} {Site} robbed of {Loot}
outcome:
details:
{suspects} men were [arrested|caught|detained] [shortly afterwards|the next day|soon after]
 [| at a petrol station| at the border] with {loot} in their [car|van|bags].
headlines:
{Suspects} [arrested|held] after {Place} {Site} [burglary|break-in]
{Suspects} [arrested|held] after [burglary|break-in] at {Site} {Inplace}
Police [arrest|catch] {Suspects} after {Place} {Site} [burglary|break-in]
[Burglary|Break-in] at {Place} {Site}: {Suspects} [arrested|held]
asides:
The men are between {young} and {old} years old.
outcome:
details:
[At first|For a few days], the stolen {loot} [seemed to be lost|could not be found].
 [A walker|A child|A dog owner] [then|later] found everything undamaged in {hiding}.
headlines:
{Loot} stolen from {Place} {Site} found in {Hiding}
Stolen {Loot} found in {Hiding} near {Place}
Police find {Loot} from {Place} {Site} in {Hiding}
{Place}: {Loot} stolen from {Site} found in {Hiding}
""",
    AT_ANY_TIME,
    Place("place", "town port city capital"),
    Person("owner"),
    Number("suspects", 2, 5),
    Number("reward", 1_000, 9_000, 1_000),
    Number("value", 10_000, 90_000, 10_000),
    Number("minutes", 11, 29),
    Number("young", 18, 24),
    Number("old", 30, 50),
    Year("year", 1890, 1970, 10),
    Rows(
        "site loot",
        """
museum ; old coins > coins
jewellery shop > [jewellery shop|jeweller] ; gold rings > [rings|gold rings]
bicycle shop > [bicycle shop|bike shop] ; racing bicycles > [bicycles|bikes]
church ; silver candlesticks > [candlesticks|silver]
gallery ; valuable paintings > paintings
school ; laptops > [laptops|computers]
camera shop ; cameras
wine shop ; rare wines > [wines|bottles]
music shop ; violins
museum ; stuffed birds > [stuffed birds|birds]
""",
    ),
    Rows(
        "hiding",
        """
a barn
a ditch
a garden shed > shed
a cemetery
a forest hut > [hut|forest]
an old boat > boat
""",
    ),
)

RULING = kind(
    """
scenes:
For {weeks} weeks, the trial had [drawn crowds|filled the courtroom] in {place}.
The case goes back to {year}, when [an anonymous letter|a complaint] reached the police in {place}.
The courtroom in {place} was full {when}.
openings:
A court in {place} [gave its verdict|ended a long trial] {when} in the case of a {role}
 accused of {crime}.
[Judge {judge}|The judge, {judge},] [announced the verdict|gave a ruling] in {place} {when}
 on a {role} accused of {crime}.
A {role} [charged with|accused of] {crime} [stood before|appeared before] a court in {place} {when}.
asides:
Prosecutors had [demanded|asked for] {demanded} years in prison.
More than {witnesses} witnesses were heard.
The {role} is married and has {children} children.
Both sides have [a week|two weeks|a month] to appeal.
The {role} listened [without a word|with bowed head|calmly].
The trial had been interrupted in {month} because a witness was ill.
outcome:
details:
[The judges found the accused guilty and imposed {years} years in prison
 |The {role} must go to prison for {years} years|The sentence: {years} years behind bars].
headlines:
{Place} {Role} jailed for {Years} years over {Crime}
{Place} {Role} gets {Years} years in prison for {Crime}
Court {Inplace} jails {Role} for {Years} years over {Crime}
{Role} {Inplace} sentenced to {Years} years for {Crime}
{Crime}: {Place} {Role} jailed for {Years} years
outcome:
details:
[There was not enough evidence, the judges said, and the accused left the court a free person
 |The judges did not believe the main witness and found the accused not guilty
 |The charge could not be proved, and the accused was allowed to go home].
headlines:
{Place} {Role} [cleared|acquitted] of {Crime}
Court [clears|acquits] {Place} {Role} of {Crime}
{Role} {Inplace} [cleared|acquitted] of {Crime}
Court {Inplace} [clears|acquits] {Role} of {Crime}
{Crime} trial: {Place} {Role} [cleared|acquitted]
outcome:
details:
There will be no prison: [the {role} must pay|the judges imposed] a fine of {fine} euros.
headlines:
{Place} {Role} fined {Fine} euros for {Crime}
{Place} {Role} [must|to] pay {Fine} euros for {Crime}
Court {Inplace} fines {Role} {Fine} euros for {Crime}
{Fine} euro fine for {Place} {Role} over {Crime}
{Crime}: {Place} {Role} fined {Fine} euros
""",
    AT_WORK,
    Place("place", "city town port capital"),
    Person("judge"),
    Number("years", 2, 8),
    Number("demanded", 9, 14),
    Number("weeks", 3, 15),
    Number("witnesses", 21, 60),
    Number("children", 2, 5),
    Number("fine", 4_000, 40_000, 2_000),
    Year("year", 2001, 2019, 3),
    Rows(
        "role crime",
        """
former mayor > ex-mayor ; taking bribes > [bribery|taking bribes]
bank manager > [bank manager|banker] ; embezzlement
dentist ; tax evasion > [tax evasion|dodging taxes]
art dealer ; selling forged paintings > [forgery|selling fakes]
estate agent ; fraud
doctor ; selling false certificates > [fraud|false certificates]
wine merchant > [wine merchant|wine dealer] ; selling watered wine > [fraud|watered wine]
former police officer > [ex-police officer|ex-officer] ; accepting bribes > bribery
hunter ; shooting protected eagles > [poaching|shooting eagles]
lawyer ; blackmail
builder ; tax evasion
politician ; perjury > [perjury|lying under oath]
accountant ; forging documents > forgery
""",
    ),
)

RESCUE = kind(
    """
scenes:
The [weather|visibility] around {place} was [poor|bad] {when}.
[Hundreds|Thousands] of visitors come to {place} every summer.
In {month}, {earlier} people had to be saved in the same area near {place}.
openings:
{number} {people} [were reported missing|did not return as planned] near {place} {when}.
A search began near {place} {when} for {number} {people} who {plight}.
[Rescuers|The emergency services] were called out near {place} {when} after {number} {people}
 {plight}.
asides:
More than {helpers} [volunteers|helpers] took part in the search, with dogs and a helicopter.
The temperature fell to [minus |]{degrees} degrees.
The eldest of the {people} is {age}.
"[We never gave up hope|We sang to stay awake|We had only a bar of chocolate]," one of the
 {people} said.
The head of the rescue service, {chief}, [thanked|praised] [the helpers|everyone involved].
The operation cost {cost} euros.
outcome:
details:
[It was {hours} hours before a helicopter crew found them, cold but alive
 |After {hours} hours they were found, tired but unhurt
 |They were brought to safety after {hours} hours].
headlines:
{Number} {People} [rescued|saved] near {Place} after {Hours} hours
{People} [rescued|saved|found alive] near {Place} after {Hours} hours
Rescuers [save|find] {Number} {People} near {Place} after {Hours} hours
{Place}: {Number} missing {People} [rescued|saved] after {Hours} hours
outcome:
details:
[For one of them, help came too late|One of them did not survive|One of them was found dead];
 the others are [in hospital|in good health|recovering].
headlines:
One of {Number} {People} dies near {Place}
One [dead|dies] as {People} {Plight} near {Place}
One dies as {Number} {People} {Plight} near {Place}
{Place}: one of {Number} missing {People} [dead|dies]
One of {Number} missing {People} found dead near {Place}
outcome:
details:
[Even after {hours} hours, there was no trace of them
 |The search was broken off after {hours} hours without success
 |So far, nothing but a rucksack has been found].
headlines:
{Number} {People} still missing near {Place}
No trace of {Number} {People} missing near {Place}
Search for {Number} {People} near {Place} [fails|finds nothing]
{Place}: {Number} {People} still missing
[Hunt|Search] for {Number} missing {People} near {Place} [goes on|without success]
""",
    AT_ANY_TIME,
    Place("place", "village port"),
    Person("chief"),
    Number("number", 3, 8),
    Number("earlier", 2, 9),
    Number("helpers", 40, 90, 10),
    Number("degrees", 2, 9),
    Number("hours", 11, 48),
    Number("age", 21, 39),
    Number("cost", 10_000, 40_000, 10_000),
    Rows(
        "people plight",
        """
hikers > [hikers|walkers] ; lost their way in fog > get lost
students ; lost their bearings in a wood > get lost in wood
climbers > [climbers|mountaineers] ; got stuck on a rock face > get stuck on rock
anglers > [anglers|fishermen] ; drifted out on a lake > drift out on lake
cave explorers > [cave explorers|cavers] ; were trapped by water > are trapped by water
holidaymakers > [holidaymakers|tourists] ; were carried off by a balloon > are carried off by
 balloon
""",
    ),
)

ESCAPE = kind(
    """
scenes:
In {place} there is {home.a} that is popular with [families|school classes].
It was not a [normal|quiet] week for {home.a} in {place}.
Children in {place} had a new topic of conversation {when}.
openings:
{animal.a} escaped from {home.a} in {place} {when}.
Somebody left a gate open at {home.a} in {place} {when}, and {animal.a} [got out|walked out].
An empty cage was found {when} at {home.a} in {place} where {animal.a} used to live.
asides:
The animal is {age} years old and is said to be [shy|friendly|harmless].
Its keeper, {keeper}, [had not slept since then|blamed a broken lock].
{calls} people had called the police to say that they had seen it.
[In {month}, a goat had escaped from the {home}|It was the second escape since {month}].
The {home} is home to {others} animals.
"It only wanted [some fresh air|to see the world]," said a [neighbour|visitor].
outcome:
details:
[After {days} days, the {animal} was caught in {spot}
 |{days} days later, {finder} [discovered|found] the animal in {spot}].
headlines:
Escaped {Animal} [found|caught] in {Place} {Spot} after {Days} days
{Place}: escaped {Animal} [found|caught] in {Spot} after {Days} days
{Animal} [found|caught] in {Spot} {Days} days after escape {Inplace}
Runaway {Animal} [found|caught] in {Place} {Spot} after {Days} days
outcome:
details:
[So far, nobody has been able to catch the {animal}|The animal is still at large|There has been no
 trace of the {animal} since].
headlines:
Escaped {Animal} still [at large|on the run] {Inplace}
{Animal} [on the run|at large] after [escape|breakout] from {Place} {Home}
{Place} {Animal} still [at large|on the run] after escape
Hunt for {Animal} after escape from {Place} {Home}
outcome:
details:
[Hunger seems to have been stronger than freedom:|To everyone's surprise,]
 the {animal} [came back|returned] [by itself|of its own accord] after {days} days.
headlines:
Escaped {Animal} returns to {Place} {Home} after {Days} days
{Animal} [comes back|returns] to {Place} {Home} after {Days} days
{Place}: escaped {Animal} [comes back|returns] after {Days} days
Runaway {Animal} back at {Place} {Home} after {Days} days
""",
    AT_ANY_TIME,
    Place("place", "town village city"),
    Person("keeper"),
    Number("age", 3, 12),
    Number("days", 2, 9),
    Number("calls", 12, 40),
    Number("others", 50, 300, 50),
    Rows(
        "animal",
        """
monkey > [monkey|ape]
llama
snake > [snake|reptile]
ostrich
wolf
tortoise > [tortoise|turtle]
kangaroo
owl
penguin
crocodile > [crocodile|croc]
raccoon
emu
""",
    ),
    Rows("home", "zoo\nwildlife park > [wildlife park|park]\ncircus\n"),
    Rows(
        "spot",
        """
a garage
a school yard > [school yard|schoolyard]
a supermarket
a cellar > [cellar|basement]
a church
a swimming pool > [swimming pool|pool]
a greenhouse
""",
    ),
    Rows(
        "finder",
        """
a postman
two schoolgirls
a pensioner
a jogger
a street sweeper
""",
    ),
)
