"""Write the files that let a Django project run with Berth.

`decide` makes a `Plan` of facts and answers; `files` makes the texts of a Plan; `write` puts them into the project. The
first two are pure.
"""
