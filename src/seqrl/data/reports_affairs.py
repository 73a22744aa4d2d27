"""Kinds of events of the task `reports`: politics, business, sport and culture.

How they are read is said at `reports_grammar.kind`.
"""

from __future__ import annotations

from seqrl.data.reports_facts import (
    AT_ANY_TIME,
    AT_LEISURE,
    AT_WORK,
    Club,
    Mention,
    Name,
    Number,
    Person,
    Place,
    Rows,
    Score,
    Year,
)
from seqrl.data.reports_grammar import kind
from seqrl.data.reports_lexicon import COMPANIES, DAYS, MONTHS

ELECTION = kind(
    """
scenes:
For months, {issue} had been the main subject of conversation in {place}.
The polling stations in {place} closed at six in the evening.
The office of mayor of {place} has existed since {year}.
openings:
{voters} people in {place} were called to the polls on Sunday to choose a mayor.
The people of {place} voted for a mayor on Sunday.
An election for the office of mayor was held in {place} on Sunday.
{winner} and {loser} were the leading candidates as {place} voted for a mayor on Sunday.
asides:
Turnout was {turnout} percent[|, a little less than last time].
[Rain|Sunshine|A football match] kept some voters at home.
The campaign had been [dominated|overshadowed] by {issue}.
The votes had to be counted twice because of a [mistake|power cut].
The council meets for the first time in {month}.
The ballot papers had been printed with a spelling mistake.
outcome:
details:
{winner}[|, a former {job},|, the candidate of the opposition,] [received|won] {share} percent
 of the vote.
{loser}, who [has been mayor|has led the town hall] for {years} years,
 [conceded defeat|admitted defeat|lost the office] [before midnight|within an hour].
headlines:
{Winner} [elected|voted] new mayor of {Place}
{Winner} [beats|defeats|ousts] mayor {Loser} in {Place}
{Place} [elects|chooses] {Winner} as new mayor
{Place} mayor {Loser} [loses|beaten] [in vote |]to {Winner}
New mayor of {Place}: {Winner} [beats|defeats] {Loser}
asides:
In {winner.his} first speech, {winner} spoke about {issue}.
outcome:
details:
{winner}, who [has been mayor|has led the town hall] for {years} years, [received|won] {share}
 percent of the vote.
{loser}, a former {job}, [conceded defeat|admitted defeat] [before midnight|within an hour].
headlines:
{Place} mayor {Winner} wins [new|another] term
{Place} re-elects {Winner} as mayor
{Winner} [re-elected|remains] [as |]mayor of {Place}
Mayor {Winner} re-elected {Inplace}
Mayor {Winner} [beats|defeats] {Loser} {Inplace}
outcome:
details:
[None of the candidates|Nobody] [received|won] more than half of the votes, so that there will be
 a second round in {weeks} weeks.
{winner} came first with {plurality} percent, [followed by|just ahead of] {loser}.
headlines:
{Winner} and {Loser} [face|head for] runoff {Inplace}
{Place} vote: {Winner} and {Loser} in runoff
{Winner} to face {Loser} in {Place} runoff
Runoff between {Winner} and {Loser} {Inplace}
{Place} [vote|election] goes to runoff: {Winner} against {Loser}
""",
    Place("place", "town city port"),
    Person("winner", 44, 66),
    Person("loser", 44, 66),
    Number("voters", 12_000, 40_000, 2_000),
    Number("turnout", 32, 48),
    Number("share", 51, 69),
    Number("plurality", 31, 46),
    Number("years", 6, 18),
    Number("weeks", 2, 4),
    Year("year", 1890, 1970, 10),
    Rows("job", "teacher\ndoctor\nlawyer\njournalist\nbaker\nfootball coach\n"),
    Rows(
        "issue",
        """
the new tram line
affordable housing
the future of the hospital
the lack of nursery places
the old harbour bridge
the swimming pool
parking fees
""",
    ),
)

MATCH = kind(
    """
scenes:
The last meeting of {winner} and {loser} [was|took place] in {month}.
[Supporters|Fans] of {loser} had queued for tickets since the morning.
{coach}, the coach of {winner}, had changed [the whole defence|half of the team].
openings:
{winner} [met|played] {loser} in the {competition} {when}.
{loser} [met|played] {winner} in the {competition} {when}.
{crowd} spectators saw {winner} play {loser} in the {competition} {when}.
{loser} had {winner} as their guests in the {competition} {when}.
asides:
[Heavy rain|A flock of pigeons|A power cut] [interrupted|delayed] the game for {minutes} minutes.
The referee showed {cards} yellow cards.
The supporters of {loser} sang [until the end|even in the break].
The goalkeeper of {loser} left the pitch with an injured [knee|shoulder].
outcome:
details:
[{winner} won {score}|{loser} lost {score}|{loser} were beaten {score}].
{scorer} [scored|struck] [shortly before the break|in the second half|after a corner].
headlines:
{Winner} [beat|defeat] {Loser} {Score} in {Competition}
{Loser} lose {Score} to {Winner} in {Competition}
{Score} [win|victory] for {Winner} [over|against] {Loser}
{Loser} [beaten|defeated] {Score} by {Winner} in {Competition}
{Competition}: {Winner} [beat|defeat] {Loser} {Score}
outcome:
details:
[{winner} won {score}|{loser} lost {score}|{loser} were beaten {score}].
It was the last match of the season, and {winner} [can no longer be caught
 |stayed at the top of the table|received the trophy from the minister].
headlines:
{Winner} champions after {Score} win over {Loser}
{Winner} win title with {Score} [victory|win] over {Loser}
{Winner} [beat|defeat] {Loser} {Score} to win title
{Score} [win|victory] over {Loser} makes {Winner} champions
{Winner} crowned champions after beating {Loser} {Score}
outcome:
details:
[Neither side found a winner|Both teams missed a penalty], and the [match|game] ended
 [in a draw, {level}|{level}].
headlines:
{Winner} and {Loser} draw {Level} in {Competition}
{Winner} held to {Level} draw by {Loser}
{Level} draw between {Winner} and {Loser}
{Competition}: {Winner} and {Loser} draw {Level}
{Winner} and {Loser} share points in {Level} draw
asides:
{scorer} [had a goal disallowed|hit the post].
""",
    AT_LEISURE,
    Club("winner"),
    Club("loser"),
    Score("score"),
    Score("level", level=True),
    Person("scorer", 18, 34),
    Person("coach"),
    Number("crowd", 4_000, 40_000, 2_000),
    Number("minutes", 11, 40),
    Number("cards", 3, 9),
    Rows("competition", "league\nfirst division > [first division|league]\nsecond division\n"),
)

MUSEUM = kind(
    """
scenes:
It all began with the collection of {founder}, a [retired|former] {job} from {place}.
The old [railway station|customs house|cotton mill] in {place} has [found a new use|been saved].
The idea came from a {job} in {place} who [never threw anything away|had no room left at home].
openings:
{place} has [spent {cost} million euros on|put {cost} million euros into] a {topic} museum.
[A few steps from|Not far from] the station in {place}, builders have worked on a {topic} museum
 for {years} years.
[The council|The city council] of {place} [dealt with|talked about] the {topic} museum {when}.
A {topic} museum in {place} was in the news {when}.
asides:
The collection [comprises|consists of] {exhibits} objects.
The building was designed by {architect}.
Admission is {price} euros for adults[| and free for children].
[The oldest|The most valuable] [object|piece] dates from {year}.
The region [had counted on|hopes for] {visitors} visitors a year.
A gift from {founder} [was the basis of the collection|fills a whole room].
outcome:
details:
[The first visitors were let in|Visitors could enter for the first time] on {day} after a [speech
 |concert] by the [mayor|school choir].
headlines:
New {Topic} museum opens {Inplace}
{Place} [opens|inaugurates] new {Topic} museum
{Place} {Topic} museum opens its doors
New {Topic} museum opens to public {Inplace}
New {Topic} museum opens its doors {Inplace}
outcome:
details:
[Burst pipes|Missing fire doors|Cracks in the roof] [were found|were discovered],
 and [visitors will have to wait until {opening}|the doors will not open before {opening}].
headlines:
[Opening of |]{Place} {Topic} museum [delayed|postponed|put off] until {Opening}
{Topic} museum {Inplace} [delayed|postponed|put off] until {Opening}
{Place} {Topic} museum not to open [before|until] {Opening}
{Place} must wait until {Opening} for {Topic} museum
outcome:
details:
[Because {reason}|As {reason}], the doors will [be closed|close] for good [in {opening}|at the end
 of
 {opening}].
headlines:
{Place} {Topic} museum to close in {Opening}
{Topic} museum {Inplace} [shuts|closes] [doors |]in {Opening}
{Place} to lose {Topic} museum in {Opening}
{Topic} museum {Inplace} to [close|shut] in {Opening}
{Place} [closes|shuts] {Topic} museum in {Opening}
""",
    AT_WORK,
    Place("place", "city town port capital"),
    Person("founder", 62, 79),
    Person("architect"),
    Number("cost", 11, 48),
    Number("years", 2, 9),
    Number("exhibits", 2_000, 9_000, 1_000),
    Number("visitors", 20_000, 90_000, 10_000),
    Number("price", 5, 14),
    Year("year", 1600, 1880, 40),
    Name("opening", MONTHS),
    Rows("job", "teacher\nengineer\nlawyer\nclockmaker\nsea captain\n"),
    Rows(
        "reason",
        """
there are too few visitors
the council has cut its grant
the roof is no longer safe
nobody is willing to pay for the heating
""",
    ),
    Rows(
        "topic",
        """
railway > [railway|train]
glass
toy
film > [film|cinema]
clock
mining
textile
bread
shipping > [shipping|maritime]
chocolate
photography > [photography|photo]
radio
cheese
""",
    ),
)

STRIKE = kind(
    """
scenes:
In {month}, the employers in {place} had offered {offer} percent.
In {place}, the quarrel about {issue} is [nothing new|as old as the contracts].
The mood among the {workers} in {place} has been bad since {month}.
openings:
There were [new talks|long talks] about {issue} between the {workers} in {place} and their
 employers {when}.
The union of the {workers} in {place} [called a meeting|met] {when} to discuss {issue}.
[The dispute|The quarrel] about {issue} between the {workers} in {place} and their employers
 [took a turn|entered a new phase] {when}.
asides:
The union has {members} members.
The employers, represented by {boss}, [called the demands unrealistic|declined to comment].
The last [dispute|strike] of this kind was {years} years ago.
Many of them earn less than {wage} euros a month.
"[We cannot go on like this|All we want is respect]," said {leader}, who leads the union.
A mediator from {other} had [been called in|taken part].
outcome:
details:
[The talks|Negotiations] failed, and [all work will stop|nobody will work|they will walk out] on
 {start}[| for {length} hours].
headlines:
{Place} {Workers} to strike over {Issue} on {Start}
{Workers} {Inplace} to [strike|walk out] on {Start} over {Issue}
{Workers} {Inplace} plan {Start} strike over {Issue}
{Place}: {Workers} to [strike|walk out] on {Start}
{Issue}: {Place} {Workers} to [strike|walk out] on {Start}
outcome:
details:
After {days} days [on strike|without work], [they agreed to a compromise|an agreement was reached]
 and [everybody will be back|work will begin again] on {start}.
headlines:
{Place} {Workers} [end|call off] strike after {Days} days
{Workers} {Inplace} end strike over {Issue} after {Days} days
{Place} strike: {Workers} back at work after {Days} days
{Workers} {Inplace} [return|go back] to work after {Days} days
{Place}: {Workers} end strike after {Days} days
outcome:
details:
[A strike had been planned for|They had threatened to walk out on] {start}, but
 [an offer at the last minute|a late compromise] [made it unnecessary|was accepted].
headlines:
{Place} {Workers} [call off|cancel] strike over {Issue}
{Workers} {Inplace} [call off|cancel] {Start} strike
Strike by {Place} {Workers} [averted|called off] at last minute
{Place}: strike by {Workers} [averted|called off]
{Issue}: {Place} {Workers} [call off|cancel] strike
""",
    AT_WORK,
    Place("place", "city port capital"),
    Place("other", "city town", main=False),
    Person("boss"),
    Person("leader"),
    Name("start", DAYS),
    Number("offer", 2, 4),
    Number("members", 1_000, 9_000, 1_000),
    Number("days", 3, 19),
    Number("length", 12, 48, 12),
    Number("years", 20, 40),
    Number("wage", 1_500, 2_000, 100),
    Rows(
        "issue",
        """
pay
pensions
job cuts
working hours > hours
safety
the night shift > night shifts
holidays
""",
    ),
    Rows(
        "workers",
        """
bus drivers
nurses
teachers > [teachers|school staff]
train drivers
airport workers > airport [workers|staff]
postal workers > [postal workers|postmen]
refuse collectors > [refuse collectors|binmen]
firefighters
tram drivers
cleaners > [cleaners|cleaning staff]
prison guards > [prison guards|prison staff]
journalists
""",
    ),
)

TAKEOVER = kind(
    """
scenes:
{firm}, founded in {year}, has [seen better days|had difficult years].
For weeks, there had been rumours about {firm}.
{buyer} has been looking for a partner since {month}.
openings:
{buyer} [made|submitted] an offer for {firm} {when}.
The owners of {firm} met {when} to discuss an offer from {buyer}.
{firm} and its larger rival {buyer} [surprised investors|made headlines] {when}.
The heads of {buyer} and of {firm} met in {place} {when}.
asides:
{target} has {staff} employees[| in {countries} countries].
{buyer} made a profit of {profit} million euros last year.
{boss}, who leads {buyer}, [was in a good mood|would not answer questions].
The shares of {buyer} [rose|fell] by {percent} percent.
The headquarters of {target} are in {place}.
outcome:
details:
[{target} will belong to {buyer} from {start}|From {start}, {buyer} will own {target}];
 the price is {price} million euros.
headlines:
{Buyer} [buys|acquires] {Sector} {Target} for {Price} million euros
{Sector} {Target} sold to {Buyer} for {Price} million euros
{Buyer} to pay {Price} million euros for {Target}
{Target} goes to {Buyer} for {Price} million euros
{Buyer} takes over {Target} for {Price} million euros
outcome:
details:
[{target} refused|The owners of {target} said no], [although|even though] {buyer} had been
 [willing|ready] to pay {price} million euros.
headlines:
{Target} [rejects|refuses] {Price} million euros from {Buyer}
{Sector} {Target} [rejects|refuses|turns down] {Price} million euro offer from {Buyer}
{Target} turns down {Price} million euros from {Buyer}
{Buyer} fails to buy {Target} for {Price} million euros
{Target} says no to {Price} million euros from {Buyer}
outcome:
details:
[The cartel office|The regulator|The competition authority] [forbade|did not allow] the
 [deal|sale], which would have [driven up prices|been worth {price} million euros].
headlines:
[Regulator|Watchdog] [blocks|stops] sale of {Sector} {Target} to {Buyer}
{Buyer} not allowed to [buy|acquire] {Sector} {Target}
[Regulator|Watchdog] stops {Buyer} from [buying|acquiring] {Target}
Sale of {Sector} {Target} to {Buyer} [blocked|stopped]
{Buyer} barred from [buying|acquiring] {Sector} {Target}
""",
    AT_WORK,
    Place("place", "city port capital"),
    Person("boss"),
    Mention("firm", "the {sector} {target}", "{target}"),
    Name("buyer", COMPANIES),
    Name("target", COMPANIES),
    Name("start", MONTHS),
    Number("price", 40, 900, 20),
    Number("profit", 21, 99),
    Number("staff", 1_000, 9_000, 1_000),
    Number("countries", 2, 9),
    Number("percent", 3, 12),
    Year("year", 1890, 1970, 10),
    Rows(
        "sector",
        """
brewery > [brewery|brewer]
toy maker
airline
publisher
shoe maker > [shoe maker|shoemaker]
supermarket chain > [supermarket chain|grocer]
biscuit maker
carmaker
shipping company > [shipping company|shipping firm]
bicycle maker > [bicycle maker|bike maker]
software company > [software company|software firm]
piano maker
""",
    ),
)

DISCOVERY = kind(
    """
scenes:
The [hills|fields] around {place} have been inhabited for thousands of years.
Nobody in {place} had expected anything unusual {when}.
In {month}, {coins} [coins|shards] had been found in the same place near {place}.
openings:
{finders} were {where} near {place} when they [noticed|came across] {find}
 {when}.
{finders} [came upon|came across] {find} {where} near {place} {when}.
{find} {found} [seen|noticed] by {finders} {where} near {place} {when}.
asides:
{that} lay only {depth} centimetres below the surface.
The [site|place] has been fenced off[| and is guarded at night].
The local museum would like to show everything from {month}.
"[My heart stood still|At first I thought it was rubbish]," said {person}, one of the {group}.
{expert}, an expert from {other}, [was called in|was informed at once].
A similar find was made in {other} {years} years ago.
outcome:
details:
According to [experts|the university|a first examination], {that} {is} about {age} years old.
headlines:
{Group} [find|discover|unearth] {Find} near {Place}, {Age} years old
{Find} found near {Place} {Is} {Age} years old
{Find} discovered by {Group} near {Place} {Is} {Age} years old
{Place}: {Group} [find|discover|unearth] {Find}, {Age} years old
outcome:
details:
[Experts|Two museums] [estimate|put] the value at [|more than |about ]{value} euros.
headlines:
{Group} [find|discover|unearth] {Find} worth {Value} euros near {Place}
{Find} worth {Value} euros [found|discovered|unearthed] near {Place}
{Place}: {Group} [find|discover|unearth] {Find} worth {Value} euros
{Find} found near {Place} worth {Value} euros
outcome:
details:
[Experts were disappointed:|The joy did not last:] {that} [turned out to be the work of students
 |came from a souvenir shop|had been made for a film in {film}].
headlines:
{Find} found near {Place} [{Is} fake|{Is} not genuine]
{Find} [found|discovered|unearthed] by {Group} near {Place} {Is} fake
{Place}: {Find} found by {Group} {Is} fake
{Group} near {Place} [find|discover|unearth] fake {Find}
""",
    AT_ANY_TIME,
    Place("place", "village town"),
    Place("other", "city", main=False),
    Person("person"),
    Person("expert"),
    Number("coins", 3, 19),
    Number("depth", 20, 90, 10),
    Number("age", 400, 4_000, 200),
    Number("value", 100_000, 900_000, 100_000),
    Number("years", 21, 40),
    Year("film", 1950, 1990, 10),
    Rows(
        "finders group where",
        """
two archaeologists ; archaeologists ; in a quarry
several farmers ; farmers ; in a field
two hikers ; hikers > [hikers|walkers] ; in a cave
some schoolchildren ; children > [schoolchildren|pupils] ; in a wood
road workers ; workers > road [workers|builders] ; beside a country road
several divers ; divers ; in a lake
two gardeners ; gardeners ; in a castle park
""",
    ),
    Rows(
        "find that found is",
        """
gold coins > [gold coins|coins] ; the coins ; were ; are
a bronze sword > [bronze sword|sword] ; the sword ; was ; is
a stone statue > [stone statue|statue] ; the statue ; was ; is
animal bones > [animal bones|bones] ; the bones ; were ; are
a silver bowl > [silver bowl|bowl] ; the bowl ; was ; is
a clay tablet > [clay tablet|tablet] ; the tablet ; was ; is
glass beads > [glass beads|beads] ; the beads ; were ; are
a golden crown > [golden crown|crown] ; the crown ; was ; is
""",
    ),
)

CONCERT = kind(
    """
scenes:
{place} had been looking forward to this concert since {month}.
The tickets for {venue} in {place} had been sold out within {minutes} minutes.
It was to be the highlight of the summer in {place}.
openings:
The {kind} {artist} was [to play|expected] at {venue} in {place} {when}.
{when}, {artist}, the [famous|popular|celebrated] {kind}, was due to appear at {venue} in {place}.
A concert by the {kind} {artist} was [planned|announced] {when} at {venue} in {place}.
asides:
The {kind} has sold {records} million records.
The tour ends in {other} in {month}.
Tickets cost up to {price} euros.
The first concert of {artist} was {years} years ago in a [school hall|garage|village pub].
A [choir|brass band] from {other} was to open the evening.
outcome:
details:
In the end, {crowd} [people|listeners] [came|were there] and [sang along|danced]
 [until midnight|for hours].
headlines:
{Crowd} [fans|people] [see|hear|cheer] {Artist} {Inplace}
{Artist} [plays|performs] to {Crowd} [fans|people] {Inplace}
{Artist} draws {Crowd} [fans|people] {Inplace}
{Place}: {Crowd} [fans|people] [see|hear|cheer] {Kind} {Artist}
{Kind} {Artist} draws {Crowd} {Inplace}
outcome:
details:
But [the {crowd} people who had come were sent home|the doors stayed closed]:
 {artist} [has|is suffering from] {illness}.
headlines:
{Artist} [cancels|calls off] {Place} concert [over|because of] {Illness}
{Illness} forces {Artist} to cancel {Place} concert
{Artist} concert {Inplace} [cancelled|called off] [over|because of] {Illness}
{Kind} {Artist} [cancels|calls off] {Place} concert
outcome:
details:
The [proceeds|takings], {sum} euros, go to {cause}.
headlines:
{Artist} [raises|collects] {Sum} euros for {Cause} {Inplace}
{Artist} concert {Inplace} [raises|brings] {Sum} euros for {Cause}
{Kind} {Artist} [raises|collects] {Sum} euros for {Cause}
{Place} concert by {Artist} raises {Sum} euros for {Cause}
""",
    AT_LEISURE,
    Place("place", "city port capital"),
    Place("other", "city town", main=False),
    Person("artist", 46, 69),
    Number("minutes", 11, 50),
    Number("records", 2, 30),
    Number("price", 40, 90, 5),
    Number("years", 10, 35),
    Number("crowd", 2_000, 40_000, 2_000),
    Number("sum", 20_000, 90_000, 10_000),
    Rows("kind", "singer\npianist\nviolinist\nrapper\ntrumpeter\n"),
    Rows(
        "venue", "the stadium\nthe castle park\nthe old harbour\nthe fairground\nthe race course\n"
    ),
    Rows(
        "illness",
        """
a fever > [fever|illness]
a cold > [cold|illness]
a broken arm > [broken arm|injury]
back pain > [back pain|bad back]
an inflamed throat > [throat trouble|sore throat]
""",
    ),
    Rows(
        "cause",
        """
a children's home > [children's home|children]
the victims of the flood > flood victims
an animal shelter > animal shelter
a hospital > hospital
schools in poor countries > schools
""",
    ),
)

FACTORY = kind(
    """
scenes:
Since {year}, {goods} have been [made|produced] in {place}.
Unemployment in {place} [was|stood at] {rate} percent in {month}.
For months there had been rumours about {company} in {place}.
openings:
{company}, which makes {goods}, [informed|spoke to] the people of {place} {when} about its plans.
{boss}, the head of {company}, [came to|visited] {place} {when}.
{company}, a maker of {goods}, has [taken a decision|announced its decision] about {place}.
{company}, which makes {goods}, [called a press conference|invited journalists] in {place} {when}.
asides:
The company has {staff} employees [worldwide|in {countries} countries].
Demand for {goods} has [changed|not been steady] in recent years.
The mayor, {mayor}, [had known about it for days|was not there|was told by telephone].
The company has its headquarters in {other}.
Last year, the company made a [profit|loss] of {profit} million euros.
outcome:
details:
[A factory is to be built|A new factory will be built|{company} will build a factory] [by {start}
 |there],
 and {jobs} people will find work.
headlines:
{Company} to [build|open] factory {Inplace} with {Jobs} jobs
{Company} factory to bring {Jobs} jobs to {Place}
{Jobs} new jobs as {Company} builds {Place} factory
{Company} to create {Jobs} jobs {Inplace}
{Place}: {Company} factory to create {Jobs} jobs
outcome:
details:
[The factory|The plant] there will [close|be shut down] [in {start}|at the end of {start}],
 and {jobs} people will [lose their jobs|have to look for other work].
headlines:
{Company} to [close|shut] {Place} [factory|plant], {Jobs} jobs lost
{Jobs} to lose jobs as {Company} leaves {Place}
{Company} [axes|cuts] {Jobs} jobs {Inplace}
{Jobs} jobs lost as {Company} [closes|shuts] {Place} [factory|plant]
{Place}: {Company} [axes|cuts] {Jobs} jobs
outcome:
details:
[It was thought that the factory would close, but|Against all expectations,]
 [the factory|the plant] will [stay|remain] open, and all {jobs} [jobs|workers] are [safe|to stay].
headlines:
{Company} [factory|plant] {Inplace} saved with {Jobs} jobs
{Place} keeps {Company} [factory|plant] and {Jobs} jobs
{Jobs} jobs [safe|saved] at {Place} {Company} [factory|plant]
{Company} keeps {Place} [factory|plant] open, {Jobs} jobs [safe|saved]
{Place}: {Company} [factory|plant] and {Jobs} jobs saved
""",
    AT_WORK,
    Place("place", "town port city"),
    Place("other", "city", main=False),
    Person("boss"),
    Person("mayor"),
    Name("company", COMPANIES),
    Name("start", MONTHS),
    Number("jobs", 80, 900, 20),
    Number("staff", 2_000, 20_000, 2_000),
    Number("countries", 2, 9),
    Number("rate", 4, 14),
    Number("profit", 21, 59),
    Year("year", 1890, 1970, 10),
    Rows(
        "goods",
        """
chairs
tyres
batteries
shoes
cars
bicycles
windows
washing machines
tractors
carpets
medicines
""",
    ),
)
