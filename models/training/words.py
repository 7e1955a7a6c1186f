"""Word lists written for this project: the raw material of every synthetic text."""

from __future__ import annotations


def split(text: str) -> list[str]:
    """Return the words of a text."""
    return text.split()


KEY_NOUNS = split("""\
name title city country age email phone address price total amount count date status color size
weight height length width category brand model product order customer item quantity author editor
publisher year month day week hour minute duration start end location place street zip region
company employer department role job salary manager team project task priority level score rating
grade rank currency language genre topic subject message note comment summary label tag code
number id reference invoice ticket flight gate seat airline origin destination departure arrival
room floor building hotel guest doctor patient symptom dose medicine disease blood species breed
owner pet vehicle engine speed fuel mileage driver route distance temperature humidity pressure
weather wind depth area volume capacity battery screen memory storage port server host version
release branch author license budget revenue cost tax discount balance account bank payment method
card school teacher student course lesson exam major event venue speaker attendee sponsor recipe
ingredient cuisine chef dish calories song artist album track film director actor studio game
player coach club league goal position shift supplier warehouse batch shipment carrier package
sender recipient contract client vendor partner agent broker tenant landlord rent deposit material
texture shape pattern style fabric flavor scent tone voice channel station signal sensor device
unit part serial circuit voltage current power energy source target reason cause result outcome
stage phase step method tool skill hobby sport food drink fruit animal plant tree flower river
lake mountain island valley planet star galaxy museum gallery library archive bridge tower harbor
village district province nation capital president mayor judge lawyer witness officer""")

KEY_ADJECTIVES = split("""\
first last full middle main primary secondary new old current previous next total average minimum
maximum final initial net gross base home work office mobile public private internal external
local remote daily weekly monthly annual early late active pending open closed free paid direct
manual automatic official legal medical technical financial personal common rare heavy light fast
slow high low upper lower left right front back inner outer north south east west green red blue
black white golden silver hidden visible known unknown safe critical urgent normal minor major
special general original favorite preferred required optional expected actual""")

ADJECTIVE_VALUES = split("""\
small medium large red green blue yellow black white grey brown orange purple new used broken open
closed pending active inactive high low normal urgent critical positive negative neutral mixed hot
cold warm dry wet sunny cloudy rainy fresh frozen digital manual hybrid basic premium standard
economy business domestic foreign junior senior expert beginner advanced cotton wool silk leather
wooden metal plastic glass ceramic paper approved rejected shipped delivered cancelled draft final
weekly monthly daily yearly""")

NOUN_VALUES = split("""\
apple pear lemon melon cherry plum bread cheese butter rice pasta soup salad tea coffee milk juice
water sugar salt pepper onion garlic tomato potato carrot bean mushroom chicken beef fish lamp
chair table desk sofa shelf mirror carpet curtain pillow blanket towel plate cup bowl spoon fork
knife kettle oven fridge laptop phone tablet camera printer keyboard mouse monitor speaker headset
charger cable router drone watch ring necklace jacket shirt coat dress skirt hat scarf glove boot
shoe sandal sock bag wallet backpack tent rope map compass torch bottle bicycle scooter truck van
bus tram train ferry boat plane guitar piano violin drum flute hammer drill saw wrench ladder
paint brush bucket garden seed soil pump filter valve pipe wire switch fuse panel chess tennis
football swimming running cycling hiking sailing climbing cooking reading painting singing dancing
gardening fishing history physics chemistry biology music art law medicine geography economics
poetry drama travel finance science fashion politics health sports""")

FIRST_NAMES = split("""\
Anna Ben Clara David Emma Felix Grace Henry Ida Jack Karen Leo Maria Noah Olga Paul Rosa Sam Tina
Victor Wendy Yara Zoe Adam Bella Carl Diana Eric Fiona George Helen Ivan Julia Kevin Laura Mark
Nina Oscar Petra Ralf Sara Tom Ursula Vera Walter Amir Chen Deepa Fatima Hiro Ines Kofi Lina Mei
Nadia Omar Priya Ravi Sofia Tariq Yuki""")

LAST_NAMES = split("""\
Smith Brown Miller Taylor Wilson Clark Lewis Walker Hall Young King Wright Hill Green Baker Carter
Parker Cook Bell Ward Gray Fisher Hunter Mason Stone Weber Braun Costa Silva Rossi Novak Kovac
Jensen Larsen Berg Lund Ito Tanaka Singh Patel Khan Rahman Okafor Mensah Diaz Lopez Garcia Moreau
Dubois Laurent Meyer Keller Vogel Huber""")

CITIES = split("""\
Paris London Berlin Madrid Rome Oslo Vienna Prague Lisbon Dublin Athens Warsaw Helsinki Tokyo
Kyoto Seoul Delhi Mumbai Cairo Nairobi Lagos Lima Bogota Quito Boston Chicago Denver Austin
Seattle Toronto Montreal Sydney Perth Auckland Geneva Zurich Milan Turin Porto Seville Lyon Nice
Hamburg Munich Cologne Krakow Budapest Sofia Riga Tallinn Bergen Aarhus Ghent Utrecht""")

COUNTRIES = split("""\
France Germany Spain Italy Norway Austria Portugal Ireland Greece Poland Finland Japan India Egypt
Kenya Nigeria Peru Colombia Ecuador Canada Australia Switzerland Hungary Denmark Sweden Belgium
Brazil Mexico Chile Morocco Turkey Vietnam Thailand""")

MONTHS = split("""\
January February March April May June July August September October November December""")

SMALL_NUMBERS = split("zero one two three four five six seven eight nine ten eleven twelve")

# Sentences that carry nothing to extract; they are mixed in as distractors and as tokenizer text.
FILLERS = """The weather was nice that day.
Please let us know if anything is missing.
Thank you very much for your help.
This was checked twice before it was sent.
Nobody asked for more details at the time.
We will get back to you as soon as possible.
There is nothing else to report for now.
Everything went as planned.
The rest of the page is empty.
It took longer than we thought.
See you soon and have a great day.
Some people said they would come back later.
That part is not important here.
The old system could not show this well.
I hope this message finds you well.
As you know, we have been working on this for a while.
More information will follow in the next few days.
Do not reply to this message.
All of this happened before the meeting started.
We talked about many other things too.
The report was written on a rainy afternoon.
No changes were made after that.
In the end it all worked out.
You can find the rest in the attached file.
Sorry for the late answer.
He looked out of the window and waited.
She opened the door and found the box on the floor.
Most of the time the work is quiet.
They always say that the best part is the beginning.
Our office will be closed during the holidays.""".splitlines()

HELD_OUT_FILLERS = """Feel free to call if something is unclear.
The line was long, but it moved quickly.
Nothing unusual was noticed afterwards.
Regards from the whole group.
This paragraph was copied from an older document.
The lights went out for a short moment.""".splitlines()

# Frequent words that only teach the tokenizer; no task depends on them.
COMMON = split("""\
the of and to in is you that it he was for on are as with his they at be this have from or had by
not but what all were when we there can an your which their said if will each about how up out
them then she many some so these would other into has more her two like him see time could no make
than been its who now people my made over did down only way find use may water long little very
after words called just where most know get through back much before go good new write our me man
any same right look think also around another came come work three must because does here even
such take help different away again off went tell small every found still between should never
under last might while next below answer below question please value field object string integer
number boolean array null true false schema text extract given information following return json
data format list record details result using provided based document describes belongs registered
listed contains includes received reported stored created updated according sentence page section
chapter figure example request response service system user assistant function parameter default
error warning success failed allowed unable cannot sorry""")
