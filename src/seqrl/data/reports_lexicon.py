"""The names of the task `reports`: made up, though some happen to exist; usual ones first."""

from __future__ import annotations

# Kind | what else the kind is called, name by name: Name or Name:region
PLACES = {
    "capital": "Velmora",
    "city": """
        Brenholt:northern Aldenburg:eastern Lindermere:southern Corvane:western Hollenbeck:eastern
        Dunmarsh:southern Torvingen:northern Ellersby:western Santerno:southern Windholm:northern
        """,
    "port": """
        Saltmouth:southern Grayhaven:western Petersund:northern Tarnmouth:western Halvik:northern
        Merrowby:eastern Skerrin:northern Lobhaven:southern Anchorby:western
        """,
    "town": """
        Harwick:northern Ashbourn:southern Kelbrook:eastern Ostley:western Fenmoor:eastern
        Rothingen:southern Millerby:northern Castlow:western Elmstead:eastern Wexley:southern
        Dornach:mountain Brackwell:western Tilsby:eastern Marlingen:southern Gorsehill:northern
        Pellworth:western Nordheim:northern Weidenau:eastern Quillbury:southern Stanlow:industrial
        Haverdale:industrial Colmar:industrial Redcliffe:coastal Sandwell:coastal Overmark:mountain
        Lunden:western Tressel:eastern Yarlow:northern Ivybridge:southern Zellwick:mountain
        """,
    "village": """
        Thornby:northern Oakholm:southern Birchen:eastern Littlemoor:western Hazelow:mountain
        Snowdale:mountain Kirnbach:mountain Pineham:northern Foxley:eastern Cresswater:coastal
        Gullwick:coastal Dovedale:western Uppershaw:mountain Netherby:southern Larkstead:eastern
        Mosswell:northern Applewick:southern Ferndale:western Otterby:coastal Rushmere:eastern
        """,
}

WOMEN = """
    Anna Maria Clara Nadia Helen Ruth Sofia Ingrid Laura Marta Irene Petra Vera Judith Agnes Lena
    Olga Miriam Nora Carla Edith Ronja Tamara Wilma Yvonne Zora
    """
MEN = """
    Peter Thomas Jan Paul Martin David Erik Simon Viktor Robert Oskar Felix Anton Georg Henrik
    Leo Marek Niels Samuel Tobias Ulrich Walter Bruno Conrad Dario Emil
    """
SURNAMES = """
    Brandt Keller Novak Larsen Fischer Moran Hollis Weber Sorensen Petrov Lindgren Carver Marsden
    Okafor Bauer Rossi Tanner Whitlock Jansen Varga Dubois Ferrer Hartley Kovacs Meyer Nilsen
    Ortega Pritchard Quinlan Rahman Sandoval Thorne Ulmer Vogel Winslow Yates Zeller Abbott
    Bergman Castell Dorsey Engel Falkner Garrick Haas Ibsen Jarvis Kendrick Lambert Mertens
    Norling Osborne Palmer Radek Salter Tillman Unger Vance Wendell Ziegler Amsel Brenner Colby
    Denholm Ekman Forster Gruber Hendry Iversen Jordan Kramer Lorenz Mathis Nagel Orwin Pfeiffer
    Renner Sadler Tolland Vesely Wexler Adler Bellamy Corrigan Drexler Eklund Fenwick Gorman
    Hadley Isaksen Jessop Kirchner Lowell Maddox Nesbitt Olander Paxton Ridley Stenberg Tremaine
    Verhoeven Wagner Zimmer
    """
COMPANIES = """
    Norvane Tellmark Brixon Aldera Velcom Hansaro Corvex Lumina Ostrac Pendrel Quorum Ravello
    Sondra Trivex Umbria Valtex Wendara Zentris Altona Bellwin Cadmor Delphin Ecoran Farwell
    """
CLUBS = "United Rovers Albion Wanderers Rangers Athletic"
STORMS = """
    Agatha Boris Celeste Dmitri Elvira Fabian Greta Horace Isolde Jasper Kirsten Ludwig Melissa
    Norbert Ophelia Quentin
    """
DAYS = "Monday Tuesday Wednesday Thursday Friday Saturday Sunday"
WORKING_DAYS = "Monday Tuesday Wednesday Thursday Friday"
MONTHS = """
    January February March April May June July August September October November December
    """
NUMBERS = """
    zero one two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen
    sixteen seventeen eighteen nineteen twenty
    """
