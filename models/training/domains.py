"""Small worlds to extract from: what a text says about a person, an order, an event and so on.

Each attribute has the keys a schema may call it, the kind of its value, the clauses training
writes it with, after the bar the clauses kept for evaluation, and after another the few words
that say it where there is no sentence. `{v}` is the value, `{s}` the subject.
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
    terse: tuple[str, ...] = ()


@dataclass(frozen=True)
class Domain:
    """A kind of record: its name, its subject, and its attributes."""

    name: str
    subject_keys: tuple[str, ...]
    subject_kind: str
    pronoun: str
    attributes: tuple[Attribute, ...]


def _attribute(line: str) -> Attribute:
    keys, kind, clauses = (part.strip() for part in line.split(" :: "))
    seen, held, *terse = (
        tuple(c.strip() for c in part.split(";")) for part in clauses.split(" || ")
    )
    return Attribute(tuple(keys.split()), kind, seen, held, terse[0] if terse else ())


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
age years_old :: age :: {s} is {v} years old; {s} is {v}; at the age of {v}, {s} is well; {s} turned {v} || {s} has just turned {v}; {s} is now {v} years of age || {v}; {v}; aged {v}; age {v}; {v} years old
city home_city location town :: city :: {s} lives in {v}; {s} is based in {v}; {s} moved to {v}; {s} has a flat in {v} || {s} has lived in {v} for years; the home of {s} is in {v} || from {v}; from {v}; {v}; in {v}; of {v}; lives in {v}
country nationality_country :: country :: {s} was born in {v}; {s} is a citizen of {v}; {s} comes from {v}; {s} grew up in {v} || {s} is from {v} as a citizen; the passport of {s} is from {v} || citizen of {v}; born in {v}; country {v}
email email_address contact_email :: email :: {s} can be reached at {v}; write to {v}; the email is {v}; send mail to {v} || please send an email to {v}; {v} is the address to write to || {v}; {v}; email {v}
phone phone_number phoneNumber :: phone :: call {v}; the phone number is {v}; {s} answers the phone at {v}; ring {v} || you may call {v}; the number to dial is {v} || {v}; tel. {v}; phone {v}
job occupation profession role :: job :: {s} works as a {v}; {s} is a {v} by profession; {s} has a job as a {v}; {s} was hired as a {v} || {s} found work as a {v}; by profession {s} is a {v} || {v}; a {v}; works as a {v}
company employer organization :: company :: {s} works at {v}; {s} is employed by {v}; {s} joined {v}; {s} is on the payroll of {v} || {s} now works at {v}; {v} employed {s} || at {v}; works at {v}; with {v}
birth_date date_of_birth birthday birthDate :: date :: {s} was born on {v}; the date of birth is {v}; born on {v}; born: {v} || {s} came into the world on {v} || born {v}; born on {v}
hobbies interests skills :: nouns :: {s} likes {v}; {s} enjoys {v}; in the evening it is all about {v}; {s} is fond of {v} || {s} really likes {v}; {s} has always enjoyed {v}
""",
    ),
    _domain(
        "order",
        "customer customer_name buyer client person",
        "they",
        """
product item article product_name :: noun_phrase :: {s} ordered the {v}; {s} bought the {v}; {s} wants the {v}; {s} put the {v} in the cart || {s} decided to buy the {v}; {s} wants to order the {v} || one {v}; wants the {v}; ordered the {v}
quantity count units :: small :: the quantity is {v}; {v} pieces are needed; {v} units in all; {v} of them || {v} pieces were ordered; in all {v} units || {v} pieces; {v} units; quantity {v}
price unit_price cost :: money :: the price is {v}; it costs {v}; each one costs {v}; sold for {v} || one piece costs {v}; at a price of {v} || {v} each; at {v} each; price {v}
total total_amount amount :: money :: the total is {v}; the total comes to {v}; {s} paid {v} in total; {v} was paid altogether || in total it was {v}; {v} is the sum of all || {v} in total; total {v}
order_id order_number orderId reference :: code :: the order number is {v}; order {v} is confirmed; it is filed as order {v}; look for order {v} || order number {v} was confirmed; this is order {v} || order {v}; no. {v}
color colour :: color :: the color is {v}; in {v}; {s} chose {v} as color; color: {v} || {s} prefers it in {v}; painted {v} || in {v}; color {v}
shipping_city delivery_city ship_to :: city :: ship it to {v}; delivery goes to {v}; it is sent to {v}; the parcel heads for {v} || please ship to {v}; it will be delivered to {v} || to {v}; ship to {v}
order_date purchase_date date :: date :: ordered on {v}; the order was placed on {v}; bought on {v}; the purchase happened on {v} || they placed the order on {v}; it was bought on {v} || on {v}; ordered on {v}; {v}
express is_gift gift_wrap paid :: flag :: {k}: {v}; the order is marked {k}: {v}; {k} - {v}; {k}? {v} || {k} is {v}
""",
    ),
    _domain(
        "event",
        "title event event_name eventTitle phrase",
        "it",
        """
date event_date day :: date :: {s} takes place on {v}; it is on {v}; the date is {v}; it is planned for {v} || it will take place on {v}; the day is {v} || on {v}; {v}; date {v}
start_time time starts_at startTime :: time :: it starts at {v}; doors open at {v}; at {v} it begins; be there by {v} || it all starts at {v}; the doors are open from {v} || at {v}; {v}; from {v} on
city place location :: city :: it is held in {v}; come to {v}; the place is {v}; it happens in {v} || it will be held in {v}; the place to be is {v} || in {v}; {v}; city {v}
venue hall building :: company :: the venue is {v}; it is hosted at {v}; {v} is the venue; we meet inside {v} || the event is hosted at {v}; inside {v} we meet || venue {v}; hosted by {v}
speaker host organizer presenter :: person :: the speaker is {v}; {v} will speak; hosted by {v}; {v} takes the stage || {v} is going to speak; listen to the speaker {v} || with {v}; by {v}; speaker {v}
attendees participants guest_count :: integer :: {v} people are expected; {v} guests signed up; there are {v} participants; a crowd of {v} is coming || {v} people signed up; we expect {v} guests || {v} guests; {v} people
topics subjects tags :: nouns :: the topics are {v}; it is about {v}; we talk about {v}; the programme covers {v} || it covers {v}; the talk is about {v}
ticket_price entry_fee fee :: money :: tickets cost {v}; the fee is {v}; entry is {v}; you pay {v} at the door || a ticket costs {v}; to get in you pay {v} || tickets {v}; entry {v}
""",
    ),
    _domain(
        "trip",
        "passenger traveler traveller person",
        "he",
        """
origin from_city departure_city departureCity :: city :: {s} leaves from {v}; the flight departs from {v}; starting in {v}; {s} takes off in {v} || the trip starts in {v}; {s} departs from {v} || from {v}; leaves from {v}
destination to_city arrival_city arrivalCity :: city :: {s} flies to {v}; the destination is {v}; {s} arrives in {v}; {s} lands in {v} || the flight goes to {v}; the plane lands in {v} || to {v}; flies to {v}
departure_date travel_date date :: date :: {s} travels on {v}; the departure is on {v}; the journey begins on {v}; {s} flies on {v} || the trip is on {v}; {s} departs on {v} || on {v}; {v}
departure_time boarding_time :: time :: it departs at {v}; the departure time is {v}; the gate closes at {v}; boarding at {v} || departure is at {v}; they board at {v} || at {v}; leaves at {v}
flight_number flight flightNumber :: code :: on flight {v}; the flight number is {v}; {s} is booked on {v}; flight {v} || with flight {v}; {s} has flight number {v} || flight {v}
seat seat_number :: code :: the seat is {v}; {s} sits in {v}; seat {v} is reserved; {s} was given place {v} || {s} has seat {v}; the reserved seat is {v} || seat {v}
bags luggage_count bag_count :: small :: {s} has {v} bags; {v} bags were checked in; {s} carries {v} suitcases; with {v} bags || {s} checked in {v} bags; there are {v} suitcases || {v} bags
airline carrier :: company :: {s} flies with {v}; the airline is {v}; the plane belongs to {v}; a flight of {v} || {s} chose the airline {v}; it is a plane of {v} || with {v}; airline {v}
travel_class cabin_class :: enum:economy,business,first :: {s} flies {v} class; in {v} class; class: {v}; cabin - {v} || it is a {v} class ticket
""",
    ),
    _domain(
        "book",
        "title book_title book bookTitle phrase",
        "it",
        """
author author_name writer :: person :: {s} was written by {v}; the author is {v}; by {v}; {v} wrote it || it is a book by {v}; {v} is the one who wrote it || by {v}; author {v}; written by {v}
year publication_year published :: year :: it was published in {v}; it appeared in {v}; it hit the shelves in {v}; from the year {v} || it was first published in {v}; the year is {v} || {v}; published in {v}; year {v}
pages page_count pageCount :: integer :: it has {v} pages; it is {v} pages long; you will read {v} pages; pages: {v} || there are {v} pages; {v} pages in all || {v} pages
publisher publishing_house :: company :: published by {v}; the publisher is {v}; {v} brought it to print; publisher: {v} || {v} published it; it is published at {v} || published by {v}; publisher {v}
genre category :: enum:fiction,history,poetry,science,travel :: it is a work of {v}; the genre is {v}; genre: {v}; category - {v} || file it under {v} || {v}; genre {v}
language original_language :: enum:English,French,German,Spanish,Italian :: it is in {v}; it was written in {v}; language: {v}; original language - {v} || you need {v} to read it || in {v}; {v}
rating stars score :: decimal :: readers rate it {v}; the rating is {v}; it scores {v} with readers; rating: {v} || it has a rating of {v}; readers gave it {v} || rated {v}; {v} stars
isbn book_id :: code :: the book id is {v}; its number is {v}; it is listed as {v}; isbn: {v} || the book number is {v}; listed under {v} || ISBN {v}; id {v}
""",
    ),
    _domain(
        "invoice",
        "vendor supplier seller company",
        "they",
        """
invoice_number invoice_id invoiceNumber number :: code :: invoice {v} was sent; the invoice number is {v}; this is invoice {v}; see invoice {v} || here is invoice {v}; the number of the invoice is {v} || invoice {v}; no. {v}; invoice no. {v}
total amount amount_due totalAmount :: money :: the total is {v}; {v} is due; the amount is {v}; please transfer {v} || the total amount is {v}; {v} has to be paid || {v}; total {v}; {v} in total
currency currency_code :: enum:EUR,USD,GBP,CHF,JPY :: in {v}; the currency is {v}; paid in {v}; currency: {v} || all sums are {v} || in {v}; currency {v}
invoice_date issue_date date :: date :: issued on {v}; dated {v}; the invoice date is {v}; it was written on {v} || it was issued on {v}; the invoice is dated {v} || dated {v}; issued on {v}
due_date payment_due dueDate :: date :: due on {v}; it must be paid by {v}; the due date is {v}; pay no later than {v} || please pay by {v}; it is due by {v} || due {v}; due on {v}; pay by {v}
customer bill_to billed_to :: person :: billed to {v}; the customer is {v}; it is for {v}; {v} has to pay it || it was billed to {v}; our customer is {v} || for {v}; to {v}; billed to {v}
tax tax_amount vat :: money :: the tax is {v}; including {v} tax; {v} of it is tax; tax: {v} || the tax amounts to {v}; with {v} tax || tax {v}; {v} tax
items line_items products :: nouns :: it lists {v}; the items are {v}; it is for these things: {v}; line items - {v} || the list of items: {v}; it has these items: {v}
""",
    ),
    _domain(
        "product",
        "product name product_name productName noun_phrase",
        "it",
        """
brand maker manufacturer :: company :: {s} is made by {v}; the brand is {v}; from {v}; {v} builds it || it is a product of {v}; the maker is {v} || by {v}; made by {v}; brand {v}
price cost :: money :: it costs {v}; the price is {v}; for {v}; you get it for {v} || it is sold at {v}; you pay {v} || {v}; for {v}; costs {v}; price {v}
color colour :: color :: it comes in {v}; the color is {v}; a {v} one; color: {v} || its finish is {v} || {v}; in {v}; color {v}
weight weight_kg :: decimal :: it weighs {v} kg; the weight is {v} kg; the scale shows {v} kg; weight: {v} kg || with a weight of {v} kg; it is {v} kg heavy || {v} kg; weighs {v} kg
material fabric :: enum:cotton,wool,leather,plastic,steel,glass :: it is made of {v}; the material is {v}; material: {v}; fabric - {v} || built from {v} || made of {v}; material {v}
in_stock available inStock :: stock :: it is {v}; right now it is {v}; {s} is {v}; currently {v} || the shop says it is {v} || {v}
warranty_months warranty :: integer :: the warranty lasts {v} months; {v} months of warranty; it is covered for {v} months; the guarantee runs {v} months || it has {v} months of warranty; warranty: {v} months || {v} months warranty; warranty {v} months
sku product_code product_id :: code :: the code is {v}; sold under {v}; the sku is {v}; search for {v} || the product code is {v}; find it under {v} || code {v}; sku {v}
colors sizes features :: nouns :: it has {v}; it is known for {v}; people praise {v}; {k}: {v} || people know it for {v}; it comes with {v}
""",
    ),
    _domain(
        "ticket",
        "customer reporter user person",
        "she",
        """
product affected_product system :: noun_phrase :: {s} has a problem with the {v}; the {v} is broken; it is about the {v}; the {v} gives {s} trouble || there is a problem with the {v}; the {v} does not work || {v} broken; problem with the {v}
priority severity urgency :: enum:low,medium,high,critical :: the priority is {v}; it has {v} priority; this is {v}; priority: {v} || treat it as {v} || {v} priority; priority {v}
status state :: enum:open,closed,pending,resolved :: the ticket is {v}; the status is {v}; status: {v}; state - {v} || right now it stays {v} || {v}; status {v}
ticket_id ticket case_number ticketId :: code :: the ticket is {v}; ticket {v}; the case number is {v}; it is tracked as {v} || this is ticket {v}; see case {v} || ticket {v}; case {v}
assignee agent assigned_to :: person :: it is assigned to {v}; {v} takes care of it; {v} will look into it; ask {v} || {v} is assigned to it; it was given to {v} || assigned to {v}; agent {v}
opened_on created_at reported_date :: date :: it was opened on {v}; reported on {v}; {s} wrote to us on {v}; created: {v} || {s} reported it on {v}; opened: {v} || since {v}; opened on {v}; reported {v}
email contact :: email :: contact {v}; reply to {v}; the answer goes to {v}; write to {v} || please reply to {v}; send the answer to {v} || {v}; contact {v}
attempts retries times_failed :: small :: it failed {v} times; after {v} attempts; {s} tried {v} times; attempts: {v} || {s} made {v} attempts; it has failed {v} times
""",
    ),
    _domain(
        "recipe",
        "dish recipe recipe_name name noun_phrase",
        "it",
        """
servings portions serves :: small :: it serves {v}; enough for {v} people; {v} guests can eat; {v} portions || it is enough for {v}; serves {v} people || serves {v}; {v} portions
minutes cooking_time duration_minutes :: integer :: it takes {v} minutes; cook it for {v} minutes; ready in {v} minutes; minutes: {v} || it is ready after {v} minutes; cooking takes {v} minutes || {v} minutes; ready in {v} minutes
ingredients ingredient_list :: nouns :: you need {v}; the ingredients are {v}; made with {v}; put in {v} || it is made with {v}; you will need {v}
cuisine style origin :: enum:Italian,French,Indian,Mexican,Greek :: it is a {v} dish; the cuisine is {v}; cuisine: {v}; style - {v} || it is a classic of {v} cooking || {v}; {v} cuisine
difficulty level :: enum:easy,medium,hard :: it is {v} to make; the difficulty is {v}; difficulty: {v}; level - {v} || cooks call it {v} || {v}; difficulty {v}
calories kcal :: integer :: it has {v} calories; {v} calories each; it brings {v} calories; calories: {v} || with {v} calories; {v} calories in all || {v} kcal; {v} calories
vegetarian is_vegan vegan :: flag :: {k}: {v}; marked {k}: {v}; {k} - {v}; {k}? {v} || {k} is {v}
chef cook author :: person :: by chef {v}; {v} cooked it; the chef is {v}; {v} came up with it || it was cooked by {v}; {v} is the chef || by {v}; by chef {v}
""",
    ),
    _domain(
        "job_offer",
        "position job_title title jobTitle job",
        "it",
        """
company employer :: company :: {v} is hiring; the company is {v}; at {v}; join {v} now || {v} is the company; you work at {v} || at {v}; company {v}
location city office :: city :: the office is in {v}; you work in {v}; based in {v}; your desk is in {v} || the office of the team is in {v}; the job is based in {v} || in {v}; {v}
salary annual_salary pay :: integer :: the salary is {v}; it pays {v} a year; you earn {v}; salary: {v} || the job pays {v}; a salary of {v} || {v} a year; pays {v}; salary {v}
remote is_remote remote_allowed :: flag :: {k}: {v}; for this job {k}: {v}; {k} - {v}; {k}? {v} || {k} is {v}
skills requirements required_skills :: nouns :: you know {v}; we ask for {v}; the skills are {v}; you are good at {v} || we ask for skills in {v}; you should know {v}
start_date starts_on startDate :: date :: you start on {v}; the job starts on {v}; your first day is {v}; start date: {v} || it starts on {v}; the first day is {v} || from {v}; starts {v}; starting {v}
contact recruiter contact_person :: person :: ask for {v}; the contact is {v}; {v} answers your questions; contact: {v} || please ask {v}; your contact is {v} || contact {v}; ask {v}
contract employment_type type :: enum:permanent,temporary,internship,freelance :: it is a {v} position; the contract is {v}; contract: {v}; type - {v} || we offer it as {v} || {v}; {v} contract
""",
    ),
)

JOBS = tuple(
    split("""teacher nurse engineer baker pilot farmer lawyer plumber painter dentist writer driver chef
designer analyst librarian gardener electrician accountant architect carpenter translator""")
)

COLORS = tuple(split("red green blue yellow black white grey brown orange purple pink silver"))
