"""Small worlds to extract from: what a text says about a person, an order, an event and so on.

Each attribute has the keys a schema may call it, the kind of its value, the clauses training
writes it with, and after the bar the clauses kept for evaluation. `{v}` is the value, `{s}` the
subject.
"""

# ruff: noqa: E501 - the phrases are a table, a row stays on its line
from __future__ import annotations

from dataclasses import dataclass

from models.training.words import split


@dataclass(frozen=True)
class Attribute:
    """One thing a text can say about its subject."""

    keys: tuple[str, ...]
    kind: str
    clauses: tuple[str, ...]
    held_out: tuple[str, ...]


@dataclass(frozen=True)
class Domain:
    """A kind of record: its name, its subject, and its attributes."""

    name: str
    subject_keys: tuple[str, ...]
    subject_kind: str
    pronoun: str
    attributes: tuple[Attribute, ...]


def _attribute(line: str) -> Attribute:
    keys, kind, clauses = (part.strip() for part in line.split("::"))
    seen, held = clauses.split("||")
    split = [tuple(c.strip() for c in part.split(";")) for part in (seen, held)]
    return Attribute(tuple(keys.split()), kind, split[0], split[1])


def _domain(name: str, subject: str, pronoun: str, table: str) -> Domain:
    *keys, kind = subject.split()
    lines = [line for line in table.strip().splitlines() if line.strip()]
    return Domain(name, tuple(keys), kind, pronoun, tuple(_attribute(line) for line in lines))


DOMAINS = (
    _domain(
        "person",
        "name full_name person fullName person",
        "she",
        """
age years_old :: age :: {s} is {v} years old; {s} is {v}; at the age of {v}, {s} is well; {s} turned {v}; {s} has reached the age of {v}; {s} had birthday number {v}; age {v}; a {v} year old; age: {v}; aged {v}, {s} still runs every day; {s} blew out {v} candles; {v} years have passed since {s} was born; {s}, {v}, is in good health; born {v} years ago || {s} has just turned {v}; {s} is now {v} years of age
city home_city location town :: city :: {s} lives in {v}; {s} is based in {v}; {s} moved to {v}; {s} has a flat in {v}; {s} calls {v} home; {s} has settled in {v}; {s} resides in {v}; home is {v}; the town is {v}; city: {v}; in {v} {s} rents a room; {s} can be found in {v}; {v} is where {s} stays; address: a street in {v} || {s} has lived in {v} for years; the home of {s} is in {v}
country nationality_country :: country :: {s} was born in {v}; {s} is a citizen of {v}; {s} comes from {v}; {s} grew up in {v}; {s} holds a passport of {v}; the country is {v}; country: {v}; nationality - {v}; {v} is the land where {s} was raised; {s} has roots in {v}; as a child {s} lived in {v}; {v} is the native land of the family; {s} votes in {v} || {s} is from {v} as a citizen; the passport of {s} is from {v}
email email_address contact_email :: email :: {s} can be reached at {v}; write to {v}; the email is {v}; send mail to {v}; drop a line to {v}; mail goes to {v}; contact {v}; email: {v}; e-mail - {v}; the inbox is {v}; messages reach {s} under {v}; at {v} {s} reads mail every day; {s} uses {v} for mail; answers go out from {v} || please send an email to {v}; {v} is the address to write to
phone phone_number phoneNumber :: phone :: call {v}; the phone number is {v}; {s} answers the phone at {v}; ring {v}; dial {v}; phone: {v}; tel. {v}; mobile - {v}; {s} picks up under {v}; on {v} {s} takes calls all day; text {s} on {v}; {v} rings in the kitchen; a quick ring to {v} will do; reach {s} by phone on {v} || you may call {v}; the number to dial is {v}
job occupation profession role :: job :: {s} works as a {v}; {s} is a {v} by profession; {s} has a job as a {v}; {s} was hired as a {v}; {s} earns a living as a {v}; {s} is a trained {v}; job: {v}; occupation - {v}; {s} became a {v}; as a {v} {s} travels a lot; {s} makes money as a {v}; life as a {v} is fun; {s} has been a {v} since school; {s} serves as {v} || {s} found work as a {v}; by profession {s} is a {v}
company employer organization :: company :: {s} works at {v}; {s} is employed by {v}; {s} joined {v}; {s} is on the payroll of {v}; {s} took an offer from {v}; {s} works for {v}; employer - {v}; company: {v}; {v} pays the salary; {v} hired {s}; the employer is called {v}; {s} has a contract with {v}; at the firm {v} {s} has a desk || {s} now works at {v}; {v} employed {s}
birth_date date_of_birth birthday birthDate :: date :: {s} was born on {v}; the date of birth is {v}; born on {v}; born: {v}; birthday: {v}; {s} celebrates a birthday on {v}; {v} is the day of birth; the birthday falls on {v}; on {v} {s} was born; {s} first saw the light on {v}; DOB {v}; date of birth - {v}; {v} is the date on the birth certificate || {s} came into the world on {v}
hobbies interests skills :: nouns :: {s} likes {v}; {s} enjoys {v}; in the evening it is all about {v}; {s} is fond of {v}; {s} spends weekends with {v}; {s} is interested in {v}; hobbies: {v}; interests - {v}; nothing beats {v}; {s} loves {v}; {s} has a passion for {v}; free time goes to {v}; {v} fill the free hours || {s} really likes {v}; {s} has always enjoyed {v}
""",
    ),
    _domain(
        "order",
        "customer customer_name buyer client person",
        "they",
        """
product item article product_name :: noun_phrase :: {s} ordered the {v}; {s} bought the {v}; {s} wants the {v}; {s} put the {v} in the cart; {s} asked for the {v}; {s} would like a {v}; please send a {v}; item: {v}; product - {v}; the {v} was picked from the shop; {s} needed the {v}; the basket holds the {v}; {s} went for the {v}; we packed the {v} || {s} decided to buy the {v}; {s} wants to order the {v}
quantity count units :: small :: the quantity is {v}; {v} pieces are needed; {v} units in all; {v} of them; make it {v} pieces; they need {v} copies; how many? {v}; {v} times; quantity: {v}; qty {v}; {s} took {v} of these; pack {v} of each; count - {v}; the box must hold {v} items || {v} pieces were ordered; in all {v} units
price unit_price cost :: money :: the price is {v}; it costs {v}; each one costs {v}; sold for {v}; it goes for {v}; it is priced at {v}; for {v} each; unit price: {v}; per item {v}; {v} apiece; the shop asks {v} for one; cost - {v}; {v} is what one goes for; a single one sells at {v} || one piece costs {v}; at a price of {v}
total total_amount amount :: money :: the total is {v}; the total comes to {v}; {s} paid {v} in total; {v} was paid altogether; the sum is {v}; all together {v}; total: {v}; amount - {v}; the whole order comes to {v}; {v} left the bank account; {s} got charged {v} for everything; the bill adds up to {v}; with everything included {v}; grand total {v} || in total it was {v}; {v} is the sum of all
order_id order_number orderId reference :: code :: the order number is {v}; order {v} is confirmed; it is filed as order {v}; look for order {v}; the order is known as {v}; order {v}; order no. {v}; reference: {v}; {v} is written on the label; quote {v} when you ask; our system calls it {v}; tracked under reference {v}; order id - {v}; {v} identifies the order || order number {v} was confirmed; this is order {v}
color colour :: color :: the color is {v}; in {v}; {s} chose {v} as color; color: {v}; colour - {v}; {v} is the color of choice; it has to be {v}; the {v} version, please; {s} picked {v}; any shade of {v}; the color {v} was requested; {s} liked it {v}; a {v} one was selected || {s} prefers it in {v}; painted {v}
shipping_city delivery_city ship_to :: city :: ship it to {v}; delivery goes to {v}; it is sent to {v}; the parcel heads for {v}; deliver it in {v}; shipping to {v}; destination: {v}; ship-to city - {v}; the van drives it to {v}; {v} is where the box should arrive; {s} will wait for it in {v}; the courier brings it to {v}; the address is in {v}; the package travels to {v} || please ship to {v}; it will be delivered to {v}
order_date purchase_date date :: date :: ordered on {v}; the order was placed on {v}; bought on {v}; the purchase happened on {v}; order date: {v}; date - {v}; on {v} the order came in; {v} was the day of purchase; the shop received it on {v}; {s} checked out on {v}; since {v} it is in our system; paid for on {v}; {s} clicked buy on {v} || they placed the order on {v}; it was bought on {v}
express is_gift gift_wrap paid :: flag :: {k}: {v}; the order is marked {k}: {v}; {k} - {v}; {k}? {v}; {k} = {v}; as for {k}, {v}; {v} to {k}; {v} was ticked at {k}; the box {k} shows {v}; {k} ({v}); {s} answered {v} to {k}; asked about {k}, {s} said {v} || {k} is {v}
""",
    ),
    _domain(
        "event",
        "title event event_name eventTitle phrase",
        "it",
        """
date event_date day :: date :: {s} takes place on {v}; it is on {v}; the date is {v}; it is planned for {v}; save the date: {v}; date: {v}; mark {v} in the calendar; on {v} everybody meets; join us on {v}; when? on {v}; it was moved to {v}; we celebrate on {v}; scheduled for {v}; {v} was fixed as the date || it will take place on {v}; the day is {v}
start_time time starts_at startTime :: time :: it starts at {v}; doors open at {v}; at {v} it begins; be there by {v}; kick-off is at {v}; from {v} on; time: {v}; start - {v}; {v} sharp; {s} begins at {v}; come at {v}; we open at {v}; the first talk begins at {v}; at {v} the lights go on || it all starts at {v}; the doors are open from {v}
city place location :: city :: it is held in {v}; come to {v}; the place is {v}; it happens in {v}; everyone travels to {v}; in the city of {v}; city: {v}; location - {v}; {v} welcomes the guests; {v} is the host city; see you in {v}; {s} moves to {v} this time; where? in {v}; trains to {v} are full || it will be held in {v}; the place to be is {v}
venue hall building :: company :: the venue is {v}; it is hosted at {v}; {v} is the venue; we meet inside {v}; at the {v} building; venue: {v}; hall - {v}; rooms of {v} were booked; {v} gave its hall for it; the stage stands at {v}; the rooms belong to {v}; find us at the {v} hall; walk over to {v} || the event is hosted at {v}; inside {v} we meet
speaker host organizer presenter :: person :: the speaker is {v}; {v} will speak; hosted by {v}; {v} takes the stage; it is led by {v}; a talk by {v}; speaker: {v}; host - {v}; {v} gives the talk; {v} runs the show; on stage: {v}; the microphone goes to {v}; {v} welcomes everyone; organized by {v} || {v} is going to speak; listen to the speaker {v}
attendees participants guest_count :: integer :: {v} people are expected; {v} guests signed up; there are {v} participants; a crowd of {v} is coming; {v} seats are taken; attendees: {v}; participants - {v}; {v} chairs were set out; there is room for {v}; {v} names are on the guest list; {v} visitors said yes; the hall fills with {v} people; so far {v} will attend; head count {v} || {v} people signed up; we expect {v} guests
topics subjects tags :: nouns :: the topics are {v}; it is about {v}; we talk about {v}; the programme covers {v}; topics: {v}; tags - {v}; subjects: {v}; on the agenda: {v}; experts discuss {v}; we learn more about {v}; questions on {v} are welcome; everything turns around {v}; {v} will be discussed || it covers {v}; the talk is about {v}
ticket_price entry_fee fee :: money :: tickets cost {v}; the fee is {v}; entry is {v}; you pay {v} at the door; fee: {v}; entry fee - {v}; admission {v}; seats go for {v}; guests are charged {v}; bring {v} for the entry; {v} per ticket; {v} buys you a seat; the ticket price was set at {v} || a ticket costs {v}; to get in you pay {v}
""",
    ),
    _domain(
        "trip",
        "passenger traveler traveller person",
        "he",
        """
origin from_city departure_city departureCity :: city :: {s} leaves from {v}; the flight departs from {v}; starting in {v}; {s} takes off in {v}; boarding is in {v}; from {v}; origin: {v}; from - {v}; {s} sets off in {v}; {s} says goodbye to {v}; the plane rolls out in {v}; departure city: {v}; {v} is where the journey begins; out of {v} || the trip starts in {v}; {s} departs from {v}
destination to_city arrival_city arrivalCity :: city :: {s} flies to {v}; the destination is {v}; {s} arrives in {v}; {s} lands in {v}; {s} is headed for {v}; to {v}; destination: {v}; to - {v}; {v} is the final stop; {s} wants to reach {v}; next stop {v}; {s} gets off in {v}; a ticket to {v}; in {v} the journey ends || the flight goes to {v}; the plane lands in {v}
departure_date travel_date date :: date :: {s} travels on {v}; the departure is on {v}; the journey begins on {v}; {s} flies on {v}; date: {v}; departure date - {v}; on {v} {s} leaves; {s} sets off on {v}; booked for {v}; the ticket is valid on {v}; {v} is the travel day; the plane takes off on {v}; wheels up on {v} || the trip is on {v}; {s} departs on {v}
departure_time boarding_time :: time :: it departs at {v}; the departure time is {v}; the gate closes at {v}; boarding at {v}; departure time: {v}; boarding - {v}; {s} leaves at {v}; the plane takes off at {v}; at {v} the doors close; wheels up at {v}; be at the gate by {v}; scheduled to leave at {v}; {v} is take-off time || departure is at {v}; they board at {v}
flight_number flight flightNumber :: code :: on flight {v}; the flight number is {v}; {s} is booked on {v}; flight {v}; flight: {v}; flight no. {v}; {v} is the plane to take; the board shows {v}; {s} takes flight {v}; look for {v} on the screen; listed as flight {v}; the flight code is {v}; boarding for {v} || with flight {v}; {s} has flight number {v}
seat seat_number :: code :: the seat is {v}; {s} sits in {v}; seat {v} is reserved; {s} was given place {v}; seat {v}; seat: {v}; seat no. {v}; row and seat {v}; {s} takes the seat {v}; place {v} is kept free; your chair is {v}; a window seat, {v}; the boarding pass shows seat {v}; {v} is where {s} will sit || {s} has seat {v}; the reserved seat is {v}
bags luggage_count bag_count :: small :: {s} has {v} bags; {v} bags were checked in; {s} carries {v} suitcases; with {v} bags; bags: {v}; luggage - {v} pieces; {s} brought {v} bags along; {v} pieces of luggage; {v} cases go into the hold; {s} packed {v} bags; {v} trunks travel along; {v} bags were weighed; luggage count {v} || {s} checked in {v} bags; there are {v} suitcases
airline carrier :: company :: {s} flies with {v}; the airline is {v}; the plane belongs to {v}; a flight of {v}; airline: {v}; carrier - {v}; operated by {v}; {v} runs the flight; {v} sold the ticket; the tickets are from {v}; {s} trusts {v}; on board of {v}; the crew works for {v}; {v} takes care of the passengers || {s} chose the airline {v}; it is a plane of {v}
travel_class cabin_class :: enum:economy,business,first :: {s} flies {v} class; in {v} class; class: {v}; cabin - {v}; {s} booked {v}; {s} travels in {v}; the cabin is {v}; a seat in {v}; {v} was booked; {s} prefers {v}; the fare is {v}; {s} got an upgrade to {v}; {v} cabin || it is a {v} class ticket
""",
    ),
    _domain(
        "book",
        "title book_title book bookTitle phrase",
        "it",
        """
author author_name writer :: person :: {s} was written by {v}; the author is {v}; by {v}; {v} wrote it; it comes from the pen of {v}; author: {v}; writer - {v}; {v} put it on paper; {v} is the name on the cover; {v} spent years writing it; penned by {v}; {v} gets the credit for it; we owe it to {v}; the words are those of {v} || it is a book by {v}; {v} is the one who wrote it
year publication_year published :: year :: it was published in {v}; it appeared in {v}; it hit the shelves in {v}; from the year {v}; year: {v}; published - {v}; {s} came out in {v}; in {v} it was printed; the first edition dates from {v}; released in {v}; copyright {v}; readers have had it since {v}; {v} saw it in print || it was first published in {v}; the year is {v}
pages page_count pageCount :: integer :: it has {v} pages; it is {v} pages long; you will read {v} pages; pages: {v}; page count - {v}; it runs to {v} pages; {v} pages thick; the last page is {v}; with {v} pages it is no small book; {s} fills {v} pages; it ends on page {v}; {v} pages to read; length: {v} pages || there are {v} pages; {v} pages in all
publisher publishing_house :: company :: published by {v}; the publisher is {v}; {v} brought it to print; publisher: {v}; publishing house - {v}; {v} printed it; {v} sells it to the shops; it came out with {v}; {v} holds the rights; printed by {v}; the house behind it is {v}; released by {v}; {v} put it on the market || {v} published it; it is published at {v}
genre category :: enum:fiction,history,poetry,science,travel :: it is a work of {v}; the genre is {v}; genre: {v}; category - {v}; {s} belongs to {v}; you find it on the {v} shelf; fans of {v} love it; a {v} book; it counts as {v}; readers of {v} know it; a fine piece of {v}; the shop has it among {v} || file it under {v}
language original_language :: enum:English,French,German,Spanish,Italian :: it is in {v}; it was written in {v}; language: {v}; original language - {v}; the text is {v}; the {v} edition; {s} speaks {v} to its readers; the author writes {v}; printed in {v}; translated from {v}; every word is {v}; its pages are in {v}; a work in {v} || you need {v} to read it
rating stars score :: decimal :: readers rate it {v}; the rating is {v}; it scores {v} with readers; rating: {v}; score - {v}; {v} stars; critics award {v} points; on average {v} stars; people score it at {v}; it is rated {v}; {v} out of ten; {v} is the verdict of the readers; it earned {v} points || it has a rating of {v}; readers gave it {v}
isbn book_id :: code :: the book id is {v}; its number is {v}; it is listed as {v}; isbn: {v}; ISBN {v}; book id - {v}; the code on the back is {v}; ask the shop for {v}; the library knows it as {v}; {v} is printed on the back; scan {v}; order it with {v}; catalogued as {v} || the book number is {v}; listed under {v}
""",
    ),
    _domain(
        "invoice",
        "vendor supplier seller company",
        "they",
        """
invoice_number invoice_id invoiceNumber number :: code :: invoice {v} was sent; the invoice number is {v}; this is invoice {v}; see invoice {v}; the bill carries number {v}; invoice no. {v}; invoice: {v}; our reference is {v}; {v} is printed at the top; quote {v} when you pay; filed as {v}; regarding bill {v}; {s} sent bill {v}; booked under {v} || here is invoice {v}; the number of the invoice is {v}
total amount amount_due totalAmount :: money :: the total is {v}; {v} is due; the amount is {v}; please transfer {v}; you owe {v}; total: {v}; amount due - {v}; the bill comes to {v}; {s} asked for {v}; we expect {v} from you; the sum is {v}; {v} is still open; kindly settle {v}; balance: {v} || the total amount is {v}; {v} has to be paid
currency currency_code :: enum:EUR,USD,GBP,CHF,JPY :: in {v}; the currency is {v}; paid in {v}; currency: {v}; currency - {v}; prices are in {v}; we bill in {v}; {v} is the currency; please pay with {v}; {s} only accept {v}; {v} accounts only; calculated in {v}; the transfer must be in {v}; money: {v} || all sums are {v}
invoice_date issue_date date :: date :: issued on {v}; dated {v}; the invoice date is {v}; it was written on {v}; invoice date: {v}; date - {v}; on {v} {s} sent it; the bill went out on {v}; made out on {v}; {s} billed it on {v}; printed on {v}; {v} is the day it was written; drawn up on {v} || it was issued on {v}; the invoice is dated {v}
due_date payment_due dueDate :: date :: due on {v}; it must be paid by {v}; the due date is {v}; pay no later than {v}; due date: {v}; payment due - {v}; payable until {v}; the deadline is {v}; {v} is the last day to pay; the money should arrive before {v}; after {v} it is overdue; you have until {v}; settle it before {v} || please pay by {v}; it is due by {v}
customer bill_to billed_to :: person :: billed to {v}; the customer is {v}; it is for {v}; {v} has to pay it; customer: {v}; bill to - {v}; addressed to {v}; for the attention of {v}; {v} is the buyer; {v} ordered it; {v} will settle it; the name on it is {v}; dear {v}; {s} charged {v} || it was billed to {v}; our customer is {v}
tax tax_amount vat :: money :: the tax is {v}; including {v} tax; {v} of it is tax; tax: {v}; VAT - {v}; vat of {v}; plus {v} for the tax office; {v} goes to the state; the state takes {v}; {v} was added as tax; sales tax {v}; taxes come to {v}; of this, {v} is VAT || the tax amounts to {v}; with {v} tax
items line_items products :: nouns :: it lists {v}; the items are {v}; it is for these things: {v}; line items - {v}; products: {v}; positions: {v}; we delivered {v}; {s} sold us {v}; you received {v}; goods: {v}; charged for {v}; the lines name {v}; you bought {v} || the list of items: {v}; it has these items: {v}
""",
    ),
    _domain(
        "product",
        "product name product_name productName noun_phrase",
        "it",
        """
brand maker manufacturer :: company :: {s} is made by {v}; the brand is {v}; from {v}; {v} builds it; it carries the {v} logo; brand: {v}; manufacturer - {v}; {v} produces it; a creation of {v}; designed by {v}; {v} stands behind it; it leaves the factory of {v}; the label says {v}; {v} is the brand name || it is a product of {v}; the maker is {v}
price cost :: money :: it costs {v}; the price is {v}; for {v}; you get it for {v}; the tag says {v}; price: {v}; cost - {v}; yours for {v}; {v} is all it takes; the shop wants {v} for it; it retails for {v}; it is offered for {v}; expect to spend {v}; now only {v} || it is sold at {v}; you pay {v}
color colour :: color :: it comes in {v}; the color is {v}; a {v} one; color: {v}; colour - {v}; {s} is {v}; all in {v}; it shines in {v}; we have it in {v}; only the {v} model is left; {v} on the outside; the case is {v}; a {v} look || its finish is {v}
weight weight_kg :: decimal :: it weighs {v} kg; the weight is {v} kg; the scale shows {v} kg; weight: {v} kg; weight - {v}; it brings {v} kg to the scale; {v} kg without the box; you carry {v} kg; mass {v} kg; it is as light as {v} kg; {s} weighs in at {v} kg; on the scale: {v} kg; shipping weight {v} kg || with a weight of {v} kg; it is {v} kg heavy
material fabric :: enum:cotton,wool,leather,plastic,steel,glass :: it is made of {v}; the material is {v}; material: {v}; fabric - {v}; {v} is the main material; it consists of {v}; pure {v}; feel the {v}; crafted out of {v}; the body is {v}; {v} all around; a {v} surface; they chose {v} for it || built from {v}
in_stock available inStock :: stock :: it is {v}; right now it is {v}; {s} is {v}; currently {v}; status: {v}; stock - {v}; at the moment {v}; today it is {v}; {v} in our store; {v} since last week; our warehouse reports: {v}; still {v}; marked as {v} || the shop says it is {v}
warranty_months warranty :: integer :: the warranty lasts {v} months; {v} months of warranty; it is covered for {v} months; the guarantee runs {v} months; {v} months guarantee; covered: {v} months; repairs are free for {v} months; protected for {v} months; the factory guarantees it for {v} months; if it breaks within {v} months we fix it; a {v} month guarantee; full cover during {v} months; months of guarantee: {v} || it has {v} months of warranty; warranty: {v} months
sku product_code product_id :: code :: the code is {v}; sold under {v}; the sku is {v}; search for {v}; sku: {v}; SKU {v}; article no. {v}; product id - {v}; the barcode reads {v}; order it as {v}; {v} is stamped on it; in the catalogue it is {v}; type {v} into the search || the product code is {v}; find it under {v}
colors sizes features :: nouns :: it has {v}; it is known for {v}; people praise {v}; {k}: {v}; features - {v}; it offers {v}; {v} are part of it; it includes {v}; buyers like the {v}; highlights: {v}; loved for {v}; it shows off {v}; packed with {v}; fitted with {v} || people know it for {v}; it comes with {v}
""",
    ),
    _domain(
        "ticket",
        "customer reporter user person",
        "she",
        """
product affected_product system :: noun_phrase :: {s} has a problem with the {v}; the {v} is broken; it is about the {v}; the {v} gives {s} trouble; the {v} no longer works; product: {v}; affected - {v}; the {v} fails all the time; something is wrong with the {v}; {s} complains about the {v}; the fault is in the {v}; {s} cannot use the {v}; trouble with the {v}; the {v} needs a repair || there is a problem with the {v}; the {v} does not work
priority severity urgency :: enum:low,medium,high,critical :: the priority is {v}; it has {v} priority; this is {v}; priority: {v}; severity - {v}; urgency {v}; we rank it {v}; {v} urgency; its severity is {v}; marked {v}; the team rated it {v}; {v} on our scale; this issue counts as {v} || treat it as {v}
status state :: enum:open,closed,pending,resolved :: the ticket is {v}; the status is {v}; status: {v}; state - {v}; {v} at the moment; the case is {v}; it was marked {v}; it has been {v} since yesterday; we set it to {v}; it went to {v}; the system shows it as {v}; current state {v}; {v} is its state || right now it stays {v}
ticket_id ticket case_number ticketId :: code :: the ticket is {v}; ticket {v}; the case number is {v}; it is tracked as {v}; ticket no. {v}; file no. {v}; case number - {v}; filed under {v}; reference {v}; {v} is the id of it; look up {v}; mention {v} when you call; we opened {v} for it || this is ticket {v}; see case {v}
assignee agent assigned_to :: person :: it is assigned to {v}; {v} takes care of it; {v} will look into it; ask {v}; assignee: {v}; agent - {v}; {v} is on it; {v} handles the case; the case landed with {v}; passed on to {v}; {v} works on a fix; in the hands of {v}; our colleague {v} deals with it || {v} is assigned to it; it was given to {v}
opened_on created_at reported_date :: date :: it was opened on {v}; reported on {v}; {s} wrote to us on {v}; created: {v}; date - {v}; since {v} it is open; on {v} {s} called us; it came in on {v}; {s} filed it on {v}; we know of it since {v}; first seen on {v}; the case began on {v}; logged on {v} || {s} reported it on {v}; opened: {v}
email contact :: email :: contact {v}; reply to {v}; the answer goes to {v}; write to {v}; email: {v}; contact - {v}; mail: {v}; {s} wrote from {v}; {s} can be mailed at {v}; updates go to {v}; keep {v} informed; the sender was {v}; get back to {s} via {v}; cc {v} || please reply to {v}; send the answer to {v}
attempts retries times_failed :: small :: it failed {v} times; after {v} attempts; {s} tried {v} times; attempts: {v}; retries - {v}; {v} retries so far; {s} restarted it {v} times; {v} times without luck; it went wrong {v} times; {v} tries and no success; try number {v} was in vain; it broke {v} times; {v} times {s} started over || {s} made {v} attempts; it has failed {v} times
""",
    ),
    _domain(
        "recipe",
        "dish recipe recipe_name name noun_phrase",
        "it",
        """
servings portions serves :: small :: it serves {v}; enough for {v} people; {v} guests can eat; {v} portions; servings: {v}; portions - {v}; feeds {v}; makes {v} plates; it fills {v} plates; dinner for {v}; cut it into {v} portions; set the table for {v}; {v} will be full; meant for {v} eaters || it is enough for {v}; serves {v} people
minutes cooking_time duration_minutes :: integer :: it takes {v} minutes; cook it for {v} minutes; ready in {v} minutes; minutes: {v}; cooking time - {v} minutes; time: {v} minutes; you will spend {v} minutes on it; leave it in the oven for {v} minutes; set the timer to {v} minutes; {v} minutes on the stove; wait {v} minutes; done within {v} minutes; {v} minutes later you can eat || it is ready after {v} minutes; cooking takes {v} minutes
ingredients ingredient_list :: nouns :: you need {v}; the ingredients are {v}; made with {v}; put in {v}; ingredients: {v}; ingredients - {v}; take {v}; buy {v} first; mix {v}; it contains {v}; {v} go into the pot; get some {v}; stir in {v}; shopping list: {v} || it is made with {v}; you will need {v}
cuisine style origin :: enum:Italian,French,Indian,Mexican,Greek :: it is a {v} dish; the cuisine is {v}; cuisine: {v}; style - {v}; {v} food; {v} kitchens invented it; a {v} recipe; it tastes {v}; typical {v}; as {v} as it gets; served in {v} homes; from a {v} family; {v} guests love it || it is a classic of {v} cooking
difficulty level :: enum:easy,medium,hard :: it is {v} to make; the difficulty is {v}; difficulty: {v}; level - {v}; the recipe is {v}; preparing it is {v}; level of work: {v}; beginners find it {v}; it looks {v}; the steps are {v}; we rate it {v}; a rather {v} dish; {v} to prepare || cooks call it {v}
calories kcal :: integer :: it has {v} calories; {v} calories each; it brings {v} calories; calories: {v}; kcal - {v}; {v} kcal; a plate has {v} kcal; you eat {v} calories; one serving gives {v} kcal; it counts {v} calories; energy: {v} kcal; the label says {v} kcal; burn {v} calories afterwards || with {v} calories; {v} calories in all
vegetarian is_vegan vegan :: flag :: {k}: {v}; marked {k}: {v}; {k} - {v}; {k}? {v}; {k} = {v}; as for {k}, {v}; {v} to {k}; {v} was ticked at {k}; the menu shows {k}, {v}; {k} ({v}); can we call it {k}? {v}; the guests asked if it was {k}, {v} || {k} is {v}
chef cook author :: person :: by chef {v}; {v} cooked it; the chef is {v}; {v} came up with it; chef: {v}; cook - {v}; a recipe of {v}; {v} wrote it down; invented by {v}; {v} shared it with us; {v} stands at the stove; thanks to {v} for it; the idea came from {v} || it was cooked by {v}; {v} is the chef
""",
    ),
    _domain(
        "job_offer",
        "position job_title title jobTitle job",
        "it",
        """
company employer :: company :: {v} is hiring; the company is {v}; at {v}; join {v} now; company: {v}; employer - {v}; {v} offers it; {v} is looking for staff; a job with {v}; become part of {v}; the employer is {v}; {v} wants you; your next boss is {v}; {v} has an opening || {v} is the company; you work at {v}
location city office :: city :: the office is in {v}; you work in {v}; based in {v}; your desk is in {v}; location: {v}; city - {v}; you would move to {v}; the desks stand in {v}; the workplace is in {v}; {v} is where you will sit; come to us in {v}; our rooms are in {v}; on site in {v} || the office of the team is in {v}; the job is based in {v}
salary annual_salary pay :: integer :: the salary is {v}; it pays {v} a year; you earn {v}; salary: {v}; pay - {v}; {v} a year; we offer {v} a year; {v} per year is what you get; expect {v} on your account; you will make {v}; the yearly wage is {v}; {v} before tax; annual pay {v} || the job pays {v}; a salary of {v}
remote is_remote remote_allowed :: flag :: {k}: {v}; for this job {k}: {v}; {k} - {v}; {k}? {v}; {k} = {v}; as for {k}, {v}; {v} to {k}; {v} was ticked at {k}; the advert shows {k}, {v}; {k} ({v}); we answered {v} to {k}; applicants ask about {k}, we say {v} || {k} is {v}
skills requirements required_skills :: nouns :: you know {v}; we ask for {v}; the skills are {v}; you are good at {v}; skills: {v}; requirements - {v}; experience with {v} helps; you have worked with {v}; you bring {v}; we need someone with {v}; you can handle {v}; {v} are a must; must have: {v}; you feel at home with {v} || we ask for skills in {v}; you should know {v}
start_date starts_on startDate :: date :: you start on {v}; the job starts on {v}; your first day is {v}; start date: {v}; start - {v}; from {v} on; we need you from {v}; {v} is the day you join; work begins on {v}; you join us on {v}; free from {v}; beginning {v}; the contract begins on {v} || it starts on {v}; the first day is {v}
contact recruiter contact_person :: person :: ask for {v}; the contact is {v}; {v} answers your questions; contact: {v}; recruiter - {v}; talk to {v}; write to {v}; send your papers to {v}; {v} reads your application; call {v} for details; {v} leads the interviews; questions go to {v}; get in touch with {v} || please ask {v}; your contact is {v}
contract employment_type type :: enum:permanent,temporary,internship,freelance :: it is a {v} position; the contract is {v}; contract: {v}; type - {v}; a {v} role; this job is {v}; the post is {v}; you get a {v} contract; {v} work; employment: {v}; it will be {v}; we hire on a {v} basis; {v} only || we offer it as {v}
""",
    ),
)

JOBS = split("""teacher nurse engineer baker pilot farmer lawyer plumber painter dentist writer driver chef
designer analyst librarian gardener electrician accountant architect carpenter translator""")

COLORS = split("red green blue yellow black white grey brown orange purple pink silver")
